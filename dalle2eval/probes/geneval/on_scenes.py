"""GenEval's six tasks put to the procedural world, answered by the exact reader.

    single_object       single prompts: the shape is there
    two_objects         two-object prompts: both shapes are there, in whatever colours
    counting            count prompts: exactly so many of the shape
    colours             single prompts: the shape is there in its colour
    position            relation prompts: both objects are there and the relation holds
    colour_attribution  two-object prompts: both shapes are there, each in its own colour

As in GenEval, more than what was asked for is no mistake, except in counting. Relations are those
of `dalle2eval.scenes.relations`, which knows two more than GenEval (on top of, inside).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from dalle2eval.scenes.grammar import Scene
from dalle2eval.scenes.layout import Placed
from dalle2eval.scenes.reader import Reading
from dalle2eval.scenes.relations import relation_between

Objects = tuple[Placed, ...]


def answers(scene: Scene, reading: Reading) -> dict[str, bool]:
    """Return, by task, whether the picture that was read is right; a word poses no task."""
    return {task: ask(scene, reading.objects) for task, ask in _TASKS.get(scene.kind, {}).items()}


def _single_object(scene: Scene, found: Objects) -> bool:
    return scene.objects[0].shape in {item.shape for item in found}


def _colours(scene: Scene, found: Objects) -> bool:
    asked = scene.objects[0]
    return (asked.shape, asked.colour) in {(item.shape, item.colour) for item in found}


def _counting(scene: Scene, found: Objects) -> bool:
    return sum(item.shape == scene.objects[0].shape for item in found) == len(scene.objects)


def _two_objects(scene: Scene, found: Objects) -> bool:
    return Counter(item.shape for item in scene.objects) <= Counter(item.shape for item in found)


def _colour_attribution(scene: Scene, found: Objects) -> bool:
    asked = Counter((item.shape, item.colour) for item in scene.objects)
    return asked <= Counter((item.shape, item.colour) for item in found)


def _position(scene: Scene, found: Objects) -> bool:
    firsts, seconds = (
        [f for f in found if (f.shape, f.colour) == (item.shape, item.colour)]
        for item in scene.objects
    )
    return any(relation_between(a, b) == scene.relation for a in firsts for b in seconds)


_TASKS: dict[str, dict[str, Callable[[Scene, Objects], bool]]] = {
    "single": {"single_object": _single_object, "colours": _colours},
    "count": {"counting": _counting},
    "two-object": {"two_objects": _two_objects, "colour_attribution": _colour_attribution},
    "relation": {"position": _position},
}
