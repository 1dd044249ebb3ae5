"""How far a read text is from the one asked for, letter by letter.

Texts are compared case-folded and without spaces: a picture's word has neither case nor spacing
that a prompt could ask for.
"""

from __future__ import annotations


def normalised(text: str) -> str:
    """Return the text case-folded, without white space."""
    return "".join(text.casefold().split())


def edit_distance(first: str, second: str) -> int:
    """Return the least number of insertions, deletions and substitutions (Levenshtein 1966)."""
    above = list(range(len(second) + 1))
    for row, letter in enumerate(first, start=1):
        current = [row]
        for column, other in enumerate(second, start=1):
            substituted = above[column - 1] + (letter != other)
            current.append(min(above[column] + 1, current[-1] + 1, substituted))
        above = current
    return above[-1]


def character_error_rate(asked: str, read: str) -> float:
    """Return CER = edits / letters asked for; above 1 when far more is written (0 is right).

    Source: Morris, Maier and Green 2004, "From WER and RIL to MER and WIL", with letters for words.
    """
    return edit_distance(normalised(asked), normalised(read)) / max(len(normalised(asked)), 1)


def normalised_similarity(asked: str, read: str) -> float:
    """Return 1 - edits / max(lengths): NED as AnyText reports it (arXiv 2311.03054; 1 is right)."""
    first, second = normalised(asked), normalised(read)
    return 1 - edit_distance(first, second) / max(len(first), len(second), 1)
