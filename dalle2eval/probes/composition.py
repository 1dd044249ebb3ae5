"""Does the picture hold what the prompt asks for: shapes, colours, numbers, relations, bindings?

The exact scene reader (`dalle2eval.scenes.reader`) reads the picture without knowing the prompt,
and what it read is compared with the prompt's facts. The questions are GenEval's (Ghosh et al.
2023, arXiv 2310.11513), with a reader in place of a detector:

    composition.object    single and count prompts: there is something, and all of it has the shape
    composition.colour    single and count prompts: there is something, and all of it has the colour
    composition.count     count prompts: exactly so many objects, whatever their shape and colour
    composition.binding   two objects: both are there, each in its shape and colour (more may be)
    composition.relation  relation prompts: both are there, and the relation holds between them
    composition.readable  all of these prompts: the reader could read the picture

Relations are exclusive as in `relations.py`: standing on top of something is not being above it.
A size that the prompt names is not scored. An unreadable picture fails every question: the reader
reads real renders (its self-test stands beside the scores), so being unreadable is a property of
the picture; its reason is in the detail, and its share is ``composition.readable``.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.probes.probe import Probe
from dalle2eval.probes.reader_selftest import reader_self_test
from dalle2eval.records import Prompt, SampleKey, Score
from dalle2eval.scenes.grammar import Scene, scene_from_facts
from dalle2eval.scenes.layout import Placed
from dalle2eval.scenes.reader import Reading, facts_of, read
from dalle2eval.scenes.relations import relation_between

PREFIX = "composition."


def grade(image: NDArray[np.uint8], prompt: Prompt, key: SampleKey) -> tuple[Score, ...]:
    """Return the scores of an image uint8 [h, w, 3]; none when the prompt asks for no objects."""
    if not prompt.facts or not prompt.facts.get("objects"):
        return ()
    reading = read(image)
    scene = scene_from_facts(prompt.facts)
    detail = _detail(prompt.facts, reading)
    return tuple(
        Score(key=key, metric=PREFIX + question, value=float(value), detail=detail)
        for question, value in answers(scene, reading).items()
    )


def answers(scene: Scene, reading: Reading) -> dict[str, bool]:
    """Answer every question that the asked scene poses, from what was read."""
    found = reading.objects
    questions = {q: ask(scene, found) for q, ask in _ASKED[scene.kind].items()}
    return {**questions, "readable": reading.unreadable is None}


def _detail(asked: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    if reading.unreadable is not None:
        return {"asked": asked, "read": None, "why": reading.unreadable}
    return {"asked": asked, "read": facts_of(reading)}


def _object(scene: Scene, found: tuple[Placed, ...]) -> bool:
    return {item.shape for item in found} == {scene.objects[0].shape}


def _colour(scene: Scene, found: tuple[Placed, ...]) -> bool:
    return {item.colour for item in found} == {scene.objects[0].colour}


def _count(scene: Scene, found: tuple[Placed, ...]) -> bool:
    return len(found) == len(scene.objects)


def _binding(scene: Scene, found: tuple[Placed, ...]) -> bool:
    asked = Counter((item.shape, item.colour) for item in scene.objects)
    return asked <= Counter((item.shape, item.colour) for item in found)


def _relation(scene: Scene, found: tuple[Placed, ...]) -> bool:
    firsts, seconds = (
        [f for f in found if (f.shape, f.colour) == (item.shape, item.colour)]
        for item in scene.objects
    )
    return any(relation_between(a, b) == scene.relation for a in firsts for b in seconds)


_ASKED: dict[str, dict[str, Callable[[Scene, tuple[Placed, ...]], bool]]] = {
    "single": {"object": _object, "colour": _colour},
    "count": {"object": _object, "colour": _colour, "count": _count},
    "two-object": {"binding": _binding},
    "relation": {"binding": _binding, "relation": _relation},
}

COMPOSITION = Probe(
    name="composition",
    version=1,
    summary="objects, colours, counts, relations and bindings, by the exact reader",
    requires={
        "composition.object": ("shape",),
        "composition.colour": ("colour",),
        "composition.count": ("count",),
        "composition.relation": ("shape", "colour", "relation"),
        "composition.binding": ("shape", "colour"),
        "composition.readable": ("shape", "colour"),
    },
    image_size=64,
    tag=None,
    seconds_per_image=0.006,
    grade=grade,
    test=functools.partial(reader_self_test, "shape", "colour", "count", "relation"),
)
