"""From a piece to a shape: the renderer's own shapes are laid over it and the best fit wins.

Every shape of the vocabulary is centred on its centroid, so a piece's centre and radius follow
from its zeroth and first moments; what remains is to compare six templates by intersection over
union.

Where the constants come from ("plateau"): see `reader.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dalle2eval.scenes.layout import Placed
from dalle2eval.scenes.renderer import coverage_of
from dalle2eval.scenes.segmentation import Piece
from dalle2eval.scenes.unmixing import Plane

# Area of a shape of radius 1, from its outline in `renderer.py`.
AREAS: dict[str, float] = {
    "circle": float(np.pi),
    "square": 2.56,
    "triangle": 3 * float(np.sqrt(3)) / 4,
    "star": 5 * 0.45 * float(np.sin(np.pi / 5)),
    "ring": float(np.pi) * (1 - 0.7**2),
    "cross": 4 * 0.36 * (2 - 0.36),
}

# Pixels around a piece in which a template is compared: more than 2.5 x SOFTNESS and the two pixels
# of a piece's soft edge (segmentation.py), so that nothing is cut off. Plateau.
ROOM = 6
# Pixels of gaussian blur for the second try: JPEG halves the chroma, and a mean over two pixels
# that is enlarged again spreads by about one. Plateau.
SOFTNESS = 1.1


@dataclass(frozen=True, slots=True)
class Fit:
    """The best shape for a piece, with its overlap (0 to 1) and that of the next best shape."""

    placed: Placed
    overlap: float
    runner_up: float


def classify(piece: Piece) -> Fit:
    """Return the shape that fits a piece best, laid over it sharp or as soft as JPEG makes it."""
    supports = [piece.plane]
    if piece.hidden is not None:
        supports.append(np.minimum(piece.plane + piece.hidden, 1))
    fits = [max(_fits(piece, shape, supports), key=lambda fit: fit[0]) for shape in AREAS]
    best, runner_up = sorted(fits, key=lambda fit: -fit[0])[:2]
    return Fit(best[1], best[0], runner_up[0])


def _fits(piece: Piece, shape: str, supports: list[Plane]) -> Iterator[tuple[float, Placed]]:
    top, left, bottom, right = piece.box
    window = (slice(max(top - ROOM, 0), bottom + ROOM), slice(max(left - ROOM, 0), right + ROOM))
    visible = piece.plane[window]
    ceiling = None if piece.hidden is None else 1 - piece.hidden[window]
    for support in supports:
        placed = _laid_over(support, shape, piece.colour)
        template = np.zeros_like(support)
        place, coverage = coverage_of(placed, len(support))
        template[place] = coverage
        sharp = template[window]
        yield _overlap(sharp, visible, ceiling), placed
        soft = ndimage.gaussian_filter(sharp, SOFTNESS, truncate=2.5)
        yield _overlap(soft, visible, ceiling), placed


def _laid_over(support: Plane, shape: str, colour: str) -> Placed:
    """Return the shape with the support's area and centroid."""
    size = len(support)
    mass = float(support.sum())
    steps = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / size
    x = float(support.sum(axis=0) @ steps) / mass
    y = float(support.sum(axis=1) @ steps) / mass
    radius = float(np.sqrt(mass / AREAS[shape])) / size
    return Placed(shape=shape, colour=colour, x=x, y=y, radius=radius)


def _overlap(template: Plane, visible: Plane, ceiling: Plane | None) -> float:
    """Return intersection over union of a template with what is visible of the piece."""
    if ceiling is not None:
        template = np.minimum(template, ceiling)
    return float(np.minimum(template, visible).sum()) / float(np.maximum(template, visible).sum())
