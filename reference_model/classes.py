"""From a caption to the class of a classifier: the one class that it names.

A class is called by words, such as "red circle". A caption is of the class whose words stand in it
together, whole, one of them or several ("two red circles"). A caption in which no class stands, or
more than one, has no class: a classifier of single classes has nothing to say about it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SHOWN = 3  # classes in the message about a prompt without one


def class_of(caption: str, classes: Sequence[str]) -> int | None:
    """Return the number of the only class that a caption names, None without one or with several.

    Args:
        caption: any text.
        classes: what each class is called.
    """
    named = [
        number
        for number, words in enumerate(classes)
        if re.search(rf"(?<!\w){re.escape(words)}(?:es|s)?(?!\w)", caption)
    ]
    return named[0] if len(named) == 1 else None


def labels_of(captions: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the class number of every caption.

    Raises:
        ValueError: a caption has no class; the message names it, and some classes.
    """
    labels = [class_of(caption, classes) for caption in captions]
    for caption, label in zip(captions, labels, strict=True):
        if label is None:
            few = ", ".join(f'"{words}"' for words in classes[:SHOWN])
            raise ValueError(
                f'classifier guidance needs a prompt that names one class, not "{caption[:80]}"; '
                f"classes: {few}, ... ({len(classes)} in all)"
            )
    return [label for label in labels if label is not None]
