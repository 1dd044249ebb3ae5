"""What to say where a name is unknown: the near one, and all that are allowed where they are few.

A list of near names under the word "allowed" would be a lie by omission; here each is called what
it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Set

FEW = 8  # names that fit into the one line of an error, beside a near match
MOST = 20  # names that are listed where nothing is near
LONGEST = 200  # characters that are compared: difflib takes the square of them
CUTOFF = 0.6


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return the end of a message about an unknown name.

    Args:
        name: what the user wrote.
        allowed: the known names, in the order to show them; a set is sorted.

    Returns:
        ``; did you mean "x"? (allowed: x, y)``, the list only where it is short; without a near
        match ``; allowed: x, y``; an empty text where no name is known at all.
    """
    known = sorted(allowed) if isinstance(allowed, Set) else list(dict.fromkeys(allowed))
    near = difflib.get_close_matches(name[:LONGEST], known, n=1, cutoff=CUTOFF)
    shown = ", ".join(known[:MOST]) + (", ..." if len(known) > MOST else "")
    if near:
        return f'; did you mean "{near[0]}"?' + (
            f" (allowed: {shown})" if len(known) <= FEW else ""
        )
    return f"; allowed: {shown}" if known else ""
