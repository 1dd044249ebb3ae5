"""The red cube on the blue cube and its swap: does z_i itself carry the binding?

The paper (arXiv 2204.06125, §7, Fig. 14 and 15) finds that unCLIP mixes attributes up, also in
reconstructions from the z_i of a real picture, and supposes that the CLIP embedding does not bind
attributes to objects. Two tasks separate the embedding from the decoder:

    relation   a square in one colour on top of a square in another, against the swap
    pairing    a circle in one colour and a square in another, against the colours swapped

A linear probe is fitted, for each pair of colours, on z_i of real pictures and asked about others.
The decoder draws the same others again from their z_i alone, and the exact reader says which of the
two it drew. Where the probe is right and the decoder is not, z_i carries the binding and the
decoder loses it; where the probe is no better than a coin, z_i does not carry it (linearly).

    binding.probe            the linear probe tells a picture from its swap
    binding.decoder          the reconstruction from z_i shows the picture's own binding
    binding.decoder_if_both  the same, among reconstructions that show one of the two bindings
    binding.caption          the whole model, asked by caption, shows the binding
    binding.image_cosine     cosine of z_i of a picture and of its swap
    binding.text_cosine      cosine of z_t of the two captions
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.info import MetricInfo
from dalle2eval.probes.linear_probe import fit
from dalle2eval.probes.probe import self_test
from dalle2eval.probes.reader_selftest import reader_self_test
from dalle2eval.probes.study import EYES, PRIOR, Bench, Finding, Study, estimates_over, shown
from dalle2eval.records import Comparison, Prompt, SampleKey, Score, SelfTest
from dalle2eval.scenes.grammar import Scene, SceneObject, caption
from dalle2eval.scenes.layout import Placed
from dalle2eval.scenes.reader import read
from dalle2eval.scenes.renderer import draw
from dalle2eval.statistics import Arms, compare_scores

RELATION, PAIRING = "relation", "pairing"
FITTED = 48  # real pictures of each side that the probe is fitted on
FIRST_FITTED, FIRST_ASKED = 9_100_000_000, 9_200_000_000  # far from training and other tests
CLEAR = 0.05  # of the picture's side, by which one stands higher than the other
NEITHER = "the reconstruction shows neither binding"
COLOUR_PAIRS = (
    ("red", "blue"), ("green", "yellow"), ("purple", "orange"), ("cyan", "white"),
    ("blue", "yellow"), ("red", "green"), ("white", "purple"), ("orange", "cyan"),
)  # fmt: skip
TESTED, FLOOR = 20, 0.9


def _measure(name: str, summary: str, *, cosine: bool = False) -> MetricInfo:
    return MetricInfo(
        name=f"binding.{name}",
        higher_is_better=None if cosine else True,
        needs="features+groups" if cosine else "image+prompt",
        estimator="mean" if cosine else "proportion",
        unit="cosine" if cosine else "share",
        source="arXiv 2204.06125, Fig. 14 and 15",
        summary=summary,
        range=(-1.0, 1.0) if cosine else (0.0, 1.0),
    )


MEASURES = (
    _measure("probe", "A linear probe of z_i tells a picture from its swap; 0.5 is chance."),
    _measure("decoder", "Reconstructions from z_i that show the picture's own binding."),
    _measure("decoder_if_both", "The same, among those that show one of the two; 0.5 is chance."),
    _measure("caption", "Pictures drawn from the caption that show its binding."),
    _measure("image_cosine", "z_i of a picture with that of its swap.", cosine=True),
    _measure("text_cosine", "z_t of a caption with that of its swap.", cosine=True),
)
_RIGHT = _measure("right", "The binding is told.")


@dataclass(frozen=True, slots=True)
class Item:
    """A task with two colours; its two sides are each other's swap."""

    task: str
    first: str
    second: str

    @property
    def id(self) -> str:
        """Return its name."""
        return f"{self.task}-{self.first}-{self.second}"

    def scene(self, side: int) -> Scene:
        """Return the scene (side 0), or its swap (side 1)."""
        colours = (self.first, self.second) if side == 0 else (self.second, self.first)
        shapes = ("square", "square") if self.task == RELATION else ("circle", "square")
        pairs = zip(shapes, colours, strict=True)
        objects = tuple(SceneObject(shape=shape, colour=colour) for shape, colour in pairs)
        return Scene(objects=objects, relation="on top of" if self.task == RELATION else None)

    def side_of(self, found: Sequence[Placed]) -> int | None:
        """Return which side a picture shows, by the objects read from it; None for neither."""
        by_colour = {item.colour: item for item in found}
        if len(found) != 2 or set(by_colour) != {self.first, self.second}:  # noqa: PLR2004
            return None
        one, other = by_colour[self.first], by_colour[self.second]
        if self.task == RELATION:
            lower = other.y - one.y
            return None if abs(lower) < CLEAR else int(lower < 0)
        shapes = (one.shape, other.shape)
        return {("circle", "square"): 0, ("square", "circle"): 1}.get(shapes)


def items(n: int) -> tuple[Item, ...]:
    """Return both tasks with n pairs of colours."""
    chosen = COLOUR_PAIRS[:n]
    return tuple(Item(task, *colours) for task in (RELATION, PAIRING) for colours in chosen)


def conduct(bench: Bench) -> Finding:
    """Probe z_i, draw from it, read, and compare."""
    chosen = items(bench.n)
    scores: list[Score] = []
    for item in chosen:
        scores += _of_item(bench, item)
    tags = {item.id: (item.task,) for item in chosen}
    estimates = estimates_over(scores, MEASURES, tags)
    tests = tuple(_compared(scores, tags, task) for task in (RELATION, PAIRING))
    answer = "; ".join(
        f"{task}: a linear probe of z_i is right in {shown(estimates, 'binding.probe', task)}, "
        f"the decoder, where it draws either, in "
        f"{shown(estimates, 'binding.decoder_if_both', task)} ({test.verdict}, "
        + ("p unknown" if test.p_value is None else f"p = {test.p_value:.3g}")
        + ")"
        for task, test in zip((RELATION, PAIRING), tests, strict=True)
    )
    notes = ("a probe at chance does not prove absence: a binding may be there and not linear",)
    return Finding(
        answer=answer, estimates=estimates, comparisons=tests, notes=notes, rows=_rows(scores)
    )


def _of_item(bench: Bench, item: Item) -> list[Score]:
    subject = bench.subject
    fitted = [_see(bench, item, side, range(FITTED), FIRST_FITTED) for side in (0, 1)]
    asked = [_see(bench, item, side, bench.seeds, FIRST_ASKED) for side in (0, 1)]
    probe = fit(*fitted)
    captions = [caption(item.scene(side)) for side in (0, 1)]
    z_t = subject.read(captions)
    scores = [_cosine(item, "text_cosine", z_t[:1], z_t[1:])]
    scores.append(_cosine(item, "image_cosine", asked[0], asked[1]))
    for side in (0, 1):
        # Sides of an item share its id, so that it is one cluster; their keys differ by seed.
        keys = [SampleKey(prompt_id=item.id, seed=2 * seed + side) for seed in bench.seeds]
        told = probe.says(asked[side]) == (side == 0)
        drawn = _sides(item, subject.decode(asked[side], keys))
        prompts = [Prompt(id=item.id, text=captions[side])] * len(keys)
        by_caption = _sides(item, subject.draw(prompts, keys))
        for key, right, shows, whole in zip(keys, told, drawn, by_caption, strict=True):
            scores += [
                Score(key=key, metric="binding.probe", value=float(right)),
                Score(key=key, metric="binding.decoder", value=float(shows == side)),
                Score(key=key, metric="binding.caption", value=float(whole == side)),
                _if_both(key, shows, side),
            ]
    return scores


def _see(
    bench: Bench, item: Item, side: int, seeds: Sequence[int], first: int
) -> NDArray[np.float32]:
    pictures = [draw(item.scene(side), first + 2 * seed + side) for seed in seeds]
    return bench.subject.see(np.stack(pictures))


def _sides(item: Item, images: NDArray[np.uint8]) -> list[int | None]:
    return [item.side_of(read(image).objects) for image in images]


def _if_both(key: SampleKey, shows: int | None, side: int) -> Score:
    metric = "binding.decoder_if_both"
    if shows is None:
        return Score(key=key, metric=metric, value=None, reason=NEITHER)
    return Score(key=key, metric=metric, value=float(shows == side))


def _cosine(
    item: Item, name: str, first: NDArray[np.float32], second: NDArray[np.float32]
) -> Score:
    value = float((first * second).sum(axis=1).mean())
    return Score(key=SampleKey(prompt_id=item.id, seed=0), metric=f"binding.{name}", value=value)


def _compared(scores: Sequence[Score], tags: dict[str, tuple[str, ...]], task: str) -> Comparison:
    """Return whether the decoder tells less than the probe does, over what it drew of a task."""

    def of(metric: str) -> list[Score]:
        return [
            replace(score, metric=_RIGHT.name)
            for score in scores
            if score.metric == metric and task in tags[score.key.prompt_id]
        ]

    arms = Arms(arm="decoder, where it draws either", reference="linear probe of z_i")
    return compare_scores(
        of("binding.decoder_if_both"), of("binding.probe"), _RIGHT, arms=arms, slice=task
    )


def _rows(scores: Sequence[Score]) -> tuple[dict[str, object], ...]:
    return tuple(
        {"item": s.key.prompt_id, "seed": s.key.seed, "metric": s.metric, "value": s.value}
        for s in scores
    )


def probe_self_test() -> SelfTest:
    """Return how often a linear probe finds a planted direction, and finds none where none is."""
    rng = np.random.default_rng(15)
    right = 0
    for _ in range(TESTED):
        direction = rng.normal(size=64) / 8
        for strength in (3.0, 0.0):
            yes, no = (
                sign * strength * direction + rng.normal(size=(FITTED + 64, 64)) for sign in (1, -1)
            )
            probe = fit(yes[:FITTED], no[:FITTED])
            answers = np.concatenate([probe.says(yes[FITTED:]), ~probe.says(no[FITTED:])])
            right += bool((answers.mean() > 0.75) == (strength > 0))  # noqa: PLR2004
    return self_test("linear probe", "planted", right=right, n=2 * TESTED, floor=FLOOR)


def _test(_: Bench) -> tuple[SelfTest, ...]:
    return (probe_self_test(), *reader_self_test("shape", "colour", "relation"))


BINDING = Study(
    name="binding",
    version=1,
    summary="the red cube on the blue cube: does z_i carry the binding, does the decoder draw it?",
    needs=(PRIOR, EYES),
    measures=MEASURES,
    prompts=None,
    n=6,
    samples=4,
    conduct=conduct,
    test=_test,
    most=len(COLOUR_PAIRS),
)
