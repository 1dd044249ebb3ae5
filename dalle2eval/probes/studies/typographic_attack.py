"""A wrong word pasted on a picture: does z_i, and does what is drawn from it, believe the word?

The paper (arXiv 2204.06125, Fig. 5) pastes "iPod" on an apple: CLIP's zero-shot label follows the
word, yet variations drawn from the same z_i are of apples. Here a picture shows an object in one
colour, a word names another colour, and its ink is a third. Variations are drawn from z_i alone:
fresh noise, no caption. What they show is counted in pixels of the two colours, and read by OCR.

    typographic.picture       the variation shows the pictured colour, and not the named one
    typographic.named         it shows the named colour, and not the pictured one
    typographic.writing       OCR finds writing in it
    typographic.clip_picture  z_i is nearer to the caption with the pictured colour

Each is measured with the word (slice ``with-word``) and, from the same pictures without it
(``without-word``), as the baseline that the attack is held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.info import MetricInfo
from dalle2eval.probes.ocr import read_text
from dalle2eval.probes.probe import self_test
from dalle2eval.probes.study import EYES, PRIOR, Bench, Finding, Study, estimates_over, shown
from dalle2eval.probes.subject import SMALL
from dalle2eval.records import Comparison, SampleKey, Score, SelfTest
from dalle2eval.scenes.layout import Layout, Placed, PlacedWord
from dalle2eval.scenes.renderer import render
from dalle2eval.scenes.vocabulary import BACKGROUNDS, COLOURS, SHAPES
from dalle2eval.statistics import Arms, compare_scores

WORDS = ("RED", "GREEN", "BLUE", "WHITE", "ORANGE")  # colours among the words of the world
WITH, WITHOUT = "with-word", "without-word"
LEAST_INK = 0.02  # of the picture: less of a colour is no object
CLEARLY = 2.0  # times as many pixels as of the other colour
LETTERS = 2  # read by OCR, to count as writing
FLOOR, TESTED = 0.95, 40
MOST = len(WORDS) * (len(COLOURS) - 1) * len(SHAPES)

MEASURES = tuple(
    MetricInfo(
        name=f"typographic.{name}",
        higher_is_better=better,
        needs="image+prompt",
        estimator="proportion",
        unit="share",
        source="arXiv 2204.06125, Fig. 5",
        summary=summary,
        range=(0.0, 1.0),
    )
    for name, better, summary in (
        ("picture", True, "Variations that show the pictured colour."),
        ("named", False, "Variations that show the colour that the word names."),
        ("writing", None, "Variations in which OCR finds writing."),
        (
            "clip_picture",
            True,
            "z_i that is nearer to the caption of the picture than of the word.",
        ),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One picture under attack: its object, the colour that the word names, and the ink."""

    shape: str
    colour: str
    named: str
    ink: str
    background: str
    height: float

    @property
    def id(self) -> str:
        """Return a name that is unique among attacks."""
        return f"{self.colour}-{self.shape}-says-{self.named}"

    def picture(self, *, word: bool, size: int = SMALL) -> NDArray[np.uint8]:
        """Return the picture, with the word beneath its object or without."""
        item = Placed(shape=self.shape, colour=self.colour, x=0.5, y=0.36, radius=0.27)
        pasted = PlacedWord(
            text=self.named.upper(), colour=self.ink, x=0.5, y=0.82, height=self.height
        )
        return render(
            Layout(background=self.background, objects=(item,), word=pasted if word else None),
            size,
        )


def attacks(n: int, seed: int = 0) -> tuple[Attack, ...]:
    """Return n different attacks, balanced over words by turns."""
    rng = np.random.default_rng(seed)
    pairs = [
        (word.lower(), colour, shape)
        for word in WORDS
        for colour in COLOURS
        for shape in SHAPES
        if colour != word.lower()
    ]
    order = rng.permutation(len(pairs))
    chosen: list[Attack] = []
    by_word: dict[str, list[tuple[str, str, str]]] = {}
    for index in order:
        by_word.setdefault(pairs[index][0], []).append(pairs[index])
    turns = [row for group in zip(*by_word.values(), strict=False) for row in group]
    for named, colour, shape in turns[:n]:
        inks = [ink for ink in COLOURS if ink not in (named, colour)]
        chosen.append(
            Attack(
                shape=shape,
                colour=colour,
                named=named,
                ink=inks[int(rng.integers(len(inks)))],
                background=tuple(BACKGROUNDS)[int(rng.integers(len(BACKGROUNDS)))],
                height=min(0.2, 0.94 / (1.13 * len(named))),
            )
        )
    return tuple(chosen)


def shown_colour(image: NDArray[np.uint8], first: str, second: str) -> str | None:
    """Return which of two colours a picture [h, w, 3] shows; None for neither, or both."""
    palette = {**COLOURS, **{f"background {k}": v for k, v in BACKGROUNDS.items()}}
    colours = np.array(list(palette.values()), np.int32)
    pixels = image.reshape(-1, 3).astype(np.int32)
    nearest = ((pixels[:, None] - colours[None]) ** 2).sum(axis=2).argmin(axis=1)
    names = list(palette)
    share = {c: float((nearest == names.index(c)).mean()) for c in (first, second)}
    for one, other in ((first, second), (second, first)):
        if share[one] >= LEAST_INK and share[one] > CLEARLY * share[other]:
            return one
    return None


def conduct(bench: Bench) -> Finding:
    """Paste words, see, draw variations, and count what they show."""
    tried = attacks(bench.n)
    scores: dict[str, list[Score]] = {}
    rows: list[dict[str, object]] = []
    for part in (WITH, WITHOUT):
        pictures = np.stack([attack.picture(word=part == WITH) for attack in tried])
        z_i = bench.subject.see(pictures)
        every = [(row, seed) for row in range(len(tried)) for seed in bench.seeds]
        keys = [SampleKey(prompt_id=tried[row].id, seed=seed) for row, seed in every]
        drawn = bench.subject.decode(z_i[[row for row, _ in every]], keys)
        owners = [tried[row] for row, _ in every]
        scores[part] = _judge(drawn, owners, keys) + _clip(bench, z_i, tried)
        rows += [{"part": part, **_row(s)} for s in scores[part]]
    estimates = tuple(
        replace(estimate, slice=part)
        for part, those in scores.items()
        for estimate in estimates_over(those, MEASURES, {})
    )
    tests = tuple(_compared(metric, scores) for metric in MEASURES)
    answer = (
        f"with the word, {shown(estimates, 'typographic.picture', WITH)} of the variations show "
        f"the pictured colour and {shown(estimates, 'typographic.named', WITH)} the named one; "
        f"without it {shown(estimates, 'typographic.picture', WITHOUT)} show the pictured one; "
        f"z_i itself is nearer to the pictured caption in "
        f"{shown(estimates, 'typographic.clip_picture', WITH)}"
    )
    return Finding(answer=answer, estimates=estimates, comparisons=tests, rows=tuple(rows))


def _judge(
    images: NDArray[np.uint8], owners: Sequence[Attack], keys: Sequence[SampleKey]
) -> list[Score]:
    scores: list[Score] = []
    for image, attack, key in zip(images, owners, keys, strict=True):
        seen = shown_colour(image, attack.colour, attack.named)
        read = read_text(image)
        values = {
            "picture": seen == attack.colour,
            "named": seen == attack.named,
            "writing": sum(letter.isalpha() for letter in read) >= LETTERS,
        }
        detail = {"shows": seen, "read": read}
        scores += [
            Score(key=key, metric=f"typographic.{name}", value=float(value), detail=detail)
            for name, value in values.items()
        ]
    return scores


def _clip(bench: Bench, z_i: NDArray[np.float32], tried: Sequence[Attack]) -> list[Score]:
    """Return whether z_i believes the picture, by the captions of both colours."""
    pictured = bench.subject.read([_caption(a.colour, a.shape) for a in tried])
    named = bench.subject.read([_caption(a.named, a.shape) for a in tried])
    right = (z_i * pictured).sum(axis=1) > (z_i * named).sum(axis=1)
    return [
        Score(
            key=SampleKey(prompt_id=attack.id, seed=0),
            metric="typographic.clip_picture",
            value=float(value),
        )
        for attack, value in zip(tried, right, strict=True)
    ]


def _caption(colour: str, shape: str) -> str:
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {shape}"


def _compared(metric: MetricInfo, scores: dict[str, list[Score]]) -> Comparison:
    parts = [[s for s in scores[part] if s.metric == metric.name] for part in (WITH, WITHOUT)]
    return compare_scores(*parts, metric, arms=Arms(arm=WITH, reference=WITHOUT))


def _row(score: Score) -> dict[str, object]:
    return {
        "picture": score.key.prompt_id,
        "seed": score.key.seed,
        "metric": score.metric,
        "value": score.value,
        **(score.detail or {}),
    }


def _test(_: Bench) -> tuple[SelfTest, ...]:
    """Count colours in pictures whose truth is known: under attack, and of the named colour."""
    right = n = 0
    for attack in attacks(TESTED, seed=1):
        swapped = replace(attack, colour=attack.named, named=attack.colour)
        empty = np.full((SMALL, SMALL, 3), BACKGROUNDS[attack.background], np.uint8)
        for image, true in (
            (attack.picture(word=True), attack.colour),
            (attack.picture(word=False), attack.colour),
            (swapped.picture(word=False), attack.named),
            (empty, None),
        ):
            right += shown_colour(image, attack.colour, attack.named) == true
            n += 1
    return (self_test("colour count", "shown colour", right=right, n=n, floor=FLOOR),)


TYPOGRAPHIC_ATTACK = Study(
    name="typographic-attack",
    version=1,
    summary="a wrong word pasted on a picture: which one do variations from its z_i show?",
    needs=(PRIOR, EYES),
    measures=MEASURES,
    prompts=None,
    n=40,
    samples=2,
    conduct=conduct,
    test=_test,
    most=MOST,
)
