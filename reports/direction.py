"""Marks of text direction in a prompt or name: each closes where its text ends, as it is shown.

An embedding, override or isolate that a text leaves open turns what is written after it, and an end
of an isolate too many ends the one that the page puts around it (UAX #9, X1 to X8). The data keep
the text as it is.
"""

from __future__ import annotations

import re

END_EMBEDDING, END_ISOLATE = "\u202c", "\u2069"
_END_OF = {
    **dict.fromkeys("\u202a\u202b\u202d\u202e", END_EMBEDDING),  # embeddings and overrides
    **dict.fromkeys("\u2066\u2067\u2068", END_ISOLATE),
}
_MARKS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def balanced(text: str) -> str:
    """Return a text with an end for each direction mark that it opens, and no other ends."""
    if not _MARKS.search(text):
        return text
    due: list[str] = []
    kept = [letter for letter in text if _fits(letter, due)]
    return "".join([*kept, *reversed(due)])


def _fits(letter: str, due: list[str]) -> bool:
    """Follow a letter in the list of ends that are due; say whether it belongs there."""
    if letter in _END_OF:
        due.append(_END_OF[letter])
    elif letter == END_EMBEDDING:
        if due[-1:] != [END_EMBEDDING]:
            return False
        due.pop()
    elif letter == END_ISOLATE:
        if END_ISOLATE not in due:
            return False
        while due.pop() != END_ISOLATE:  # it ends the embeddings inside it too
            pass
    return True
