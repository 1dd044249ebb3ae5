"""From a scene to a picture's geometry: where each thing stands, drawn at random by seed.

Coordinates and radii are shares of the picture's side (x right, y down), so one layout renders at
any size. The rules here are the meaning of the relations; the reader (`reader.py`) tests the same
rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dalle2eval.scenes.grammar import Scene, SceneObject
from dalle2eval.scenes.vocabulary import BACKGROUNDS

SMALL_RADIUS = (0.13, 0.17)
LARGE_RADIUS = (0.26, 0.34)
COUNT_RADIUS = (0.12, 0.17)
PAIR_RADIUS = (0.14, 0.19)
SIZE_BOUNDARY = 0.21  # a radius under it is small, above it large
MARGIN = 0.03  # nothing comes nearer to the picture's edge
_CELLS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
_SWAPPED = {"right of": "left of", "below": "above"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An object with its centre and circumscribed radius, in shares of the picture's side."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedWord:
    """A word with its centre and the height of its capitals, in shares of the picture's side."""

    text: str
    colour: str
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A picture's geometry; objects are painted in order, later ones on top."""

    background: str
    objects: tuple[Placed, ...] = ()
    word: PlacedWord | None = None


def place(scene: Scene, seed: int) -> Layout:
    """Lay a scene out; equal (scene, seed) give an equal layout on every machine."""
    rng = np.random.Generator(np.random.PCG64(seed))
    background = tuple(BACKGROUNDS)[int(rng.integers(len(BACKGROUNDS)))]
    if scene.word is not None:
        return Layout(background=background, word=_place_word(scene, rng))
    return Layout(background=background, objects=_PLACERS[scene.kind](scene, rng))


def _place_word(scene: Scene, rng: np.random.Generator) -> PlacedWord:
    # 0.9 em a bold capital: the height is bounded so that the word never leaves the picture.
    height = min(0.30, 0.94 / (1.13 * len(scene.word)))
    height *= rng.uniform(0.92, 1.0)
    y = 0.5 + rng.uniform(-0.5, 0.5) * (0.9 - height) * 0.7
    return PlacedWord(text=scene.word, colour=scene.word_colour, x=0.5, y=y, height=height)


def _radius(item: SceneObject, rng: np.random.Generator) -> float:
    size = item.size or ("small", "large")[int(rng.integers(2))]
    return float(rng.uniform(*(SMALL_RADIUS if size == "small" else LARGE_RADIUS)))


def _put(item: SceneObject, x: float, y: float, radius: float) -> Placed:
    return Placed(
        shape=item.shape, colour=item.colour, x=float(x), y=float(y), radius=float(radius)
    )


def _place_single(scene: Scene, rng: np.random.Generator) -> tuple[Placed, ...]:
    item = scene.objects[0]
    radius = _radius(item, rng)
    reach = 0.5 - MARGIN - radius
    return (_put(item, 0.5 + rng.uniform(-reach, reach), 0.5 + rng.uniform(-reach, reach), radius),)


def _place_cells(scene: Scene, rng: np.random.Generator) -> tuple[Placed, ...]:
    radius = rng.uniform(*COUNT_RADIUS)
    reach = 0.25 - MARGIN - radius
    cells = rng.permutation(4)[: len(scene.objects)]
    return tuple(
        _put(item, *(np.add(_CELLS[cell], rng.uniform(-reach, reach, 2))), radius)
        for item, cell in zip(scene.objects, cells, strict=True)
    )


def _place_count(scene: Scene, rng: np.random.Generator) -> tuple[Placed, ...]:
    return _place_single(scene, rng) if len(scene.objects) == 1 else _place_cells(scene, rng)


def _place_relation(scene: Scene, rng: np.random.Generator) -> tuple[Placed, ...]:
    first, second = scene.objects
    relation = scene.relation
    if relation in _SWAPPED:
        first, second, relation = second, first, _SWAPPED[relation]
    if relation == "inside":
        outer = rng.uniform(0.38, 0.44)
        x, y = 0.5 + rng.uniform(-0.02, 0.02, 2)
        return (_put(second, x, y, outer), _put(first, x, y, rng.uniform(0.11, 0.13)))
    if relation == "on top of":
        return _place_on_top(first, second, rng)
    near, far = rng.uniform(0.21, 0.29), rng.uniform(0.71, 0.79)
    aside = 0.5 + rng.uniform(-0.08, 0.08, 2) + rng.uniform(-0.12, 0.12)
    spots = ((near, aside[0]), (far, aside[1]))
    if relation == "above":
        spots = tuple((across, along) for along, across in spots)
    radii = rng.uniform(*PAIR_RADIUS, 2)
    return tuple(_put(i, *s, r) for i, s, r in zip((first, second), spots, radii, strict=True))


def _place_on_top(
    first: SceneObject, second: SceneObject, rng: np.random.Generator
) -> tuple[Placed, ...]:
    upper, lower = rng.uniform(0.15, 0.18), rng.uniform(0.2, 0.24)
    x = 0.5 + rng.uniform(-0.15, 0.15)
    top = extent(second.shape)[0] * lower
    bottom = extent(first.shape)[1] * upper
    contact = rng.uniform(0.43, 0.50)  # the height where they touch
    return (
        _put(second, x, contact + top, lower),
        _put(first, x + rng.uniform(-0.02, 0.02), contact - bottom, upper),
    )


_PLACERS = {
    "single": _place_single,
    "count": _place_count,
    "two-object": _place_cells,
    "relation": _place_relation,
}


def extent(shape: str) -> tuple[float, float]:
    """Return how far a shape of radius 1 reaches above and below its centre."""
    return {"triangle": (1.0, 0.5), "star": (1.0, 0.809), "square": (0.8, 0.8)}.get(
        shape, (1.0, 1.0)
    )
