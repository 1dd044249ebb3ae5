"""What the reader gets right on pictures whose truth is known: the self-test before any score.

The pictures are the renderer's, every second one of objects disturbed (words stay clean: letters
of eight pixels have no detail to lose). A task counts the scenes in which everything that it asks
about is right; a picture called unreadable is not right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dalle2eval.scenes.disturbances import DISTURBANCES
from dalle2eval.scenes.grammar import Scene, all_scenes
from dalle2eval.scenes.reader import Reading, read
from dalle2eval.scenes.relations import relation_between
from dalle2eval.scenes.renderer import draw

TASKS = ("shape", "colour", "count", "relation", "word")
SCENES_PER_KIND = {"single": 15, "count": 25, "two-object": 20, "relation": 50, "word": 40}
FIRST_SEED = 7_000_000_000  # far from every stream of training data
_CYCLE = ("clean", "jpeg", "clean", "noise", "clean", "blur")


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of n scenes were right in one task."""

    task: str
    right: int
    n: int


def run_self_test(scenes_per_kind: Mapping[str, int] | None = None) -> tuple[Tally, ...]:
    """Read fresh renders, clean and disturbed in turn, and count what is right, task by task."""
    right: Counter[str] = Counter()
    n: Counter[str] = Counter()
    for scene, image in _pictures(scenes_per_kind or SCENES_PER_KIND):
        for task, verdict in verdicts(scene, read(image)).items():
            right[task] += verdict
            n[task] += 1
    return tuple(Tally(task, right[task], n[task]) for task in TASKS if n[task])


def _pictures(scenes_per_kind: Mapping[str, int]) -> Iterator[tuple[Scene, NDArray[np.uint8]]]:
    for kind, number in scenes_per_kind.items():
        for index, scene in enumerate(sample_scenes(kind, number, FIRST_SEED)):
            name = "clean" if kind == "word" else _CYCLE[index % len(_CYCLE)]
            disturb = DISTURBANCES[name]
            yield scene, disturb(draw(scene, FIRST_SEED + index), index)


def sample_scenes(kind: str, number: int, seed: int) -> list[Scene]:
    """Draw scenes of a kind with replacement, seen and held out alike."""
    scenes = list(all_scenes(kind))
    rng = np.random.Generator(np.random.PCG64(seed))
    return [scenes[int(index)] for index in rng.integers(len(scenes), size=number)]


def verdicts(scene: Scene, reading: Reading) -> dict[str, bool]:
    """Say for each task that the scene poses whether the reading is right."""
    if scene.word is not None:
        return {"word": (reading.word, reading.word_colour) == (scene.word, scene.word_colour)}
    asked, found = scene.objects, reading.objects
    verdict = {
        "shape": Counter(o.shape for o in asked) == Counter(o.shape for o in found),
        "colour": Counter(o.colour for o in asked) == Counter(o.colour for o in found),
        "count": len(asked) == len(found),
    }
    if scene.relation is not None:
        verdict["relation"] = scene.relation == _relation(scene, reading)
    return verdict


def _relation(scene: Scene, reading: Reading) -> str | None:
    """Return the relation from the first to the second object, told apart by their colours."""
    by_colour = {item.colour: item for item in reading.objects}
    first, second = (by_colour.get(item.colour) for item in scene.objects)
    if first is None or second is None:
        return None
    return relation_between(first, second)
