"""The procedural world as training data: sample k is a pure function of (stream, k).

Held-out scenes are never drawn unless asked for: a judge must know them, a generator must not.
Streams keep the data of different networks apart, so a judge never saw a picture that trained a
generator.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dalle2eval.records import InputError
from dalle2eval.scenes.grammar import (
    KINDS,
    PLAIN,
    TEMPLATES,
    Scene,
    SceneObject,
    all_scenes,
    caption,
    is_held_out,
)
from dalle2eval.scenes.renderer import draw
from dalle2eval.spelling import nearest

# Shares of `KINDS`, in their order. Most failures of a decoder that has seen the broad mix are in
# number and binding, so its last hour goes to these.
MIXES = {
    "broad": (0.22, 0.18, 0.14, 0.30, 0.16),
    "composition": (0.16, 0.24, 0.30, 0.26, 0.04),
    "one-class": (0.6, 0.4, 0.0, 0.0, 0.0),  # pictures of one colour and shape, for a classifier
}
PLAIN_SHARE = 0.6  # the rest is spread over the other templates


class Captioned(NamedTuple):
    """Captions of a batch, and the images of the rows that were asked for, uint8 [m, h, w, 3]."""

    captions: list[str]
    images: NDArray[np.uint8]


@functools.cache
def _pool(kind: str, *, held_out: bool) -> tuple[Scene, ...]:
    return tuple(scene for scene in all_scenes(kind) if held_out or not is_held_out(scene))


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """Captioned scenes for training.

    Attributes:
        stream: names an independent sequence of samples.
        held_out: whether held-out scenes are drawn too (judges only).
        mix: key in `MIXES`.
    """

    stream: int
    held_out: bool = False
    mix: str = "broad"

    def __post_init__(self) -> None:
        """Refuse a mix that is none, naming near ones.

        Raises:
            InputError: it is not in `MIXES`.
        """
        if self.mix not in MIXES:
            raise InputError(f"mix is {self.mix!r}{nearest(self.mix, MIXES)}")

    def batch(self, start: int, n: int, size: int, *, rows: range | None = None) -> Captioned:
        """Return samples start ... start + n - 1 at ``size`` pixels, images of ``rows`` only."""
        return self._render([self._sample(start + k) for k in range(n)], start, size, rows)

    def contrastive_batch(
        self, start: int, n: int, size: int, *, rows: range | None = None
    ) -> Captioned:
        """Like `batch`, but every second sample is a near miss of the one before, if it has one."""
        scenes = [self._sample(start + k) for k in range(n)]
        for k in range(1, n, 2):
            scenes[k] = self._near_miss(scenes[k - 1], start + k) or scenes[k]
        return self._render(scenes, start, size, rows)

    def all_captions(self) -> list[str]:
        """Return every plain caption, and every template, that this source can draw."""
        plain = [caption(s) for kind in KINDS for s in _pool(kind, held_out=self.held_out)]
        return [*plain, *(template.format(plain[0]) for template in TEMPLATES)]

    def classes(self) -> list[str]:
        """Return the colour and shape of every object that this source draws alone or counted."""
        drawn = (scene.objects[0] for scene in _pool("single", held_out=self.held_out))
        return list(dict.fromkeys(f"{item.colour} {item.shape}" for item in drawn))

    def _render(self, scenes: list[Scene], start: int, size: int, rows: range | None) -> Captioned:
        rows = range(len(scenes)) if rows is None else rows
        captions, images = [], np.empty((len(rows), size, size, 3), np.uint8)
        for k, scene in enumerate(scenes):
            rng = self._rng(start + k, 1)
            plain = rng.random() < PLAIN_SHARE
            template = PLAIN if plain else TEMPLATES[int(rng.integers(1, len(TEMPLATES)))]
            captions.append(caption(scene, template))
            if k in rows:
                images[k - rows.start] = draw(scene, int(rng.integers(2**62)), size)
        return Captioned(captions, images)

    def _rng(self, k: int, purpose: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.stream, purpose, k]))

    def _sample(self, k: int) -> Scene:
        rng = self._rng(k, 0)
        kind = KINDS[int(rng.choice(len(KINDS), p=MIXES[self.mix]))]
        pool = _pool(kind, held_out=self.held_out)
        return pool[int(rng.integers(len(pool)))]

    def _near_miss(self, scene: Scene, k: int) -> Scene | None:
        """Return a scene of the same words in another order or number, if training may draw it."""
        if len(set(scene.objects)) == 2:  # noqa: PLR2004
            miss = _swap(scene, self._rng(k, 2))
        elif scene.kind == "count":
            number = int(self._rng(k, 2).integers(1, 5))
            miss = replace(scene, objects=scene.objects[:1] * number)
        else:
            return None
        return miss if self.held_out or not is_held_out(miss) else None


def _swap(scene: Scene, rng: np.random.Generator) -> Scene:
    first, second = scene.objects
    if rng.random() < 0.5 or scene.relation is None:  # noqa: PLR2004
        return replace(scene, objects=(_recolour(first, second), _recolour(second, first)))
    return replace(scene, objects=(second, first))


def _recolour(item: SceneObject, other: SceneObject) -> SceneObject:
    return replace(item, colour=other.colour)
