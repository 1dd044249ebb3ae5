"""Signs that say something, for models that draw photographs: words and sentences in three cases.

The words go from those that CLIP's BPE knows whole to those that it spells in pieces, so that
accuracy can be held against the number of tokens. "deep learning" is the paper's own example
(arXiv 2204.06125, Fig. 16).
"""

from __future__ import annotations

from dalle2eval.records import Prompt

WORDS = (
    "go", "open", "cat", "moon", "river", "coffee", "garden", "library", "elephant", "chocolate",
    "zephyr", "quixotic", "rhubarb", "isthmus", "onomatopoeia", "borborygmus",
)  # fmt: skip
SENTENCES = (
    "deep learning", "open all night", "mind the gap", "no dogs allowed", "fresh bread daily",
    "the end is near", "please ring the bell", "we are closed on monday",
)  # fmt: skip
CASES = {"upper-case": str.upper, "lower-case": str.lower, "title-case": str.title}
TEMPLATE = 'a sign that says "{}"'
NUM_SIGNS = len(CASES) * (len(WORDS) + len(SENTENCES))


def signs(n: int) -> tuple[Prompt, ...]:
    """Return n prompts; cases take turns, so that any number is balanced over them."""
    names = list(CASES)
    texts = [*WORDS, *SENTENCES]
    pairs = [
        (text, names[(turn + place) % len(names)])
        for turn in range(len(names))
        for place, text in enumerate(texts)
    ]
    return tuple(_prompt(text, case) for text, case in pairs[:n])


def _prompt(text: str, case: str) -> Prompt:
    written = CASES[case](text)
    return Prompt(
        id=f"sign-{text.replace(' ', '-')}-{case}",
        text=TEMPLATE.format(written),
        tags=("word", case, *(["sentence"] if " " in text else [])),
        facts={"word": written},
    )
