"""What a detector gets right on pictures whose truth is known, before it may judge any.

The pictures are the procedural world's, at 256 pixels: its shapes and colours can be said in words,
and every box is known. A detector that cannot find a red circle on a dark ground is not to be
trusted with a bench; one that can may still fail on benches, which the report cannot say.

    object by detector    one object: its shape is surer than every other shape of the world
    count by detector     one to four objects: as many boxes as objects
    colour by detector    one object that was found: its colour is named
    position by detector  two objects that were found: the relation of their boxes is the true one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dalle2eval.probes.detection import COLOURS, Detector, Found
from dalle2eval.probes.geneval.rules import relations
from dalle2eval.probes.probe import self_test
from dalle2eval.records import SelfTest
from dalle2eval.scenes.grammar import Scene
from dalle2eval.scenes.renderer import draw
from dalle2eval.scenes.selftest import FIRST_SEED, sample_scenes
from dalle2eval.scenes.vocabulary import SHAPES

OBJECT, COUNT = "object by detector", "count by detector"
COLOUR, POSITION = "colour by detector", "position by detector"
FLOORS = {OBJECT: 0.8, COUNT: 0.7, COLOUR: 0.8, POSITION: 0.8}
SIZE = 256  # pixels
PICTURES = {"single": 24, "count": 24, "relation": 24}
SAID = {"left of", "right of", "above", "below"}  # the relations that boxes can tell


def detector_self_test(detector: Detector) -> tuple[SelfTest, ...]:
    """Return what the detector gets right, one record a task.

    A task of which not one picture could be asked (nothing was found) is failed by all of them.
    """
    right: Counter[str] = Counter()
    n: Counter[str] = Counter()
    for scene, image in _pictures():
        for task, verdict in _verdicts(detector, scene, image).items():
            right[task] += verdict
            n[task] += 1
    return tuple(
        self_test(detector.name, task, right=right[task], n=n[task] or 1, floor=floor)
        for task, floor in FLOORS.items()
    )


def _pictures() -> Iterator[tuple[Scene, NDArray[np.uint8]]]:
    for kind, number in PICTURES.items():
        for index, scene in enumerate(sample_scenes(kind, number, FIRST_SEED + 2)):
            yield scene, draw(scene, FIRST_SEED + index, SIZE)


def _verdicts(detector: Detector, scene: Scene, image: NDArray[np.uint8]) -> dict[str, bool]:
    asked = scene.objects
    if scene.kind == "single":
        found = detector.detect(image, SHAPES)
        verdicts = {OBJECT: bool(found) and found[0].label == asked[0].shape}
        if verdicts[OBJECT] and asked[0].colour in COLOURS:
            verdicts[COLOUR] = detector.colours_of(image, found[:1]) == [asked[0].colour]
        return verdicts
    shapes = list(dict.fromkeys(item.shape for item in asked))
    found = detector.detect(image, shapes)
    if scene.kind == "count":
        return {COUNT: len(found) == len(asked)}
    pair = _pair(scene, found)
    if pair is None or scene.relation not in SAID:
        return {}
    return {POSITION: scene.relation in relations(pair[0].box, pair[1].box)}


def _pair(scene: Scene, found: list[Found]) -> tuple[Found, Found] | None:
    """Return the surest box of each of two different shapes, where both were found."""
    first, second = scene.objects
    by_shape = {item.label: item for item in reversed(found)}
    if first.shape == second.shape or not {first.shape, second.shape} <= by_shape.keys():
        return None
    return by_shape[first.shape], by_shape[second.shape]
