"""From coverage planes to pieces: connected patches of one colour, each a candidate for one object.

A piece that lies on top of a larger one hides part of it (`inside`), and a ring on top even cuts
a disc out of it; such cut-off parts are joined again, and what is hidden is kept beside the
piece.

Where the constants come from ("seen", "plateau"): see `reader.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dalle2eval.scenes.unmixing import Coverage, Plane, Unreadable

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # top, left, bottom, right (exclusive)

# Share of a pixel that belongs to a piece. Derived: objects of one colour are 2 x 0.03 x 64 = 3.8
# pixels apart (layout.py), so soft edges do not touch. Doubled, 3 of 32 renders are read wrong.
SOLID = 0.4
# Pixels; a quarter of the smallest object: a star of radius 0.11 inside another thing has
# 1.32 x 7.04² = 65.5. Seen: 72.7 or more. Halved, all 12 pictures that are no scene are refused.
SPECK_MASS = 16.0
SPECK_PIXELS = 4  # solid pixels; fewer are noise. Doubled, 10 of 12 no scenes are refused, not 11.
MAX_SPECK_MASS = (
    32.0  # pixels in all: half the smallest object. Halved, all 12 no scenes are refused.
)
MAX_PIECES = 8  # twice the four objects of a scene: a ring on top may cut each in two. Plateau.
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A connected patch of one colour.

    Attributes:
        plane: its share of every pixel of the picture [h, w]; zero away from it.
        mask: where the share is solid [h, w].
        box: bounding box of the mask.
        hidden: share of every pixel that pieces lying on it take [h, w]; None when there are none.
    """

    colour: str
    plane: Plane
    mask: Mask
    box: Box
    hidden: Plane | None = None

    @property
    def mass(self) -> float:
        """Return its area in pixels."""
        return float(self.plane.sum())


def pieces_of(coverage: Coverage) -> tuple[Piece, ...]:
    """Return the pieces, colour by colour.

    Raises:
        Unreadable: specks, or more pieces than any scene has.
    """
    patches = [p for c, plane in coverage.planes.items() for p in _patches(c, plane)]
    found = [p for p in patches if p.mass >= SPECK_MASS]
    if _speckled(found, [p for p in patches if p.mass < SPECK_MASS]):
        raise Unreadable("speckled: patches of colour too small for an object")
    joined = _join_cut_off(found)
    if len(joined) > MAX_PIECES:
        raise Unreadable(f"{len(joined)} patches of colour; a scene has at most {MAX_PIECES}")
    return tuple(_with_hidden(piece, joined) for piece in joined)


def _speckled(found: list[Piece], small: list[Piece]) -> bool:
    """Say whether too much colour lies about that is neither an object nor an object's rim."""
    if not small:
        return False
    solid = np.any([p.mask for p in found], axis=0) if found else np.zeros_like(small[0].mask)
    near = ndimage.binary_dilation(solid, _EIGHT)
    away = (
        p for p in small if np.count_nonzero(p.mask) >= SPECK_PIXELS and not (p.mask & near).any()
    )
    return sum(p.mass for p in away) > MAX_SPECK_MASS


def _patches(colour: str, plane: Plane) -> list[Piece]:
    labels, number = ndimage.label(plane > SOLID, structure=_EIGHT)
    if number == 0:
        return []
    reach = _grown(labels)
    patches = []
    for index, slices in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = slices
        own = np.where(reach == index, plane, np.float32(0))
        box = (rows.start, columns.start, rows.stop, columns.stop)
        patches.append(Piece(colour, own, labels == index, box))
    return patches


def _grown(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give each patch the soft edge around it: pixels within two of it, the nearer patch first."""
    for _ in range(2):
        labels = np.where(labels == 0, ndimage.grey_dilation(labels, footprint=_EIGHT), labels)
    return labels


def _within(inner: Box, outer: Box) -> bool:
    return (
        inner[0] >= outer[0]
        and inner[1] >= outer[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
        and inner != outer
    )


def _join_cut_off(pieces: list[Piece]) -> list[Piece]:
    """Join a piece with the piece of its colour from which another colour's piece cuts it off."""
    joined = sorted(pieces, key=lambda p: -p.mass)
    for small in list(reversed(joined)):
        for big in joined:
            if big.colour == small.colour and _cut_off(small, big, joined):
                joined[joined.index(big)] = Piece(
                    big.colour, big.plane + small.plane, big.mask | small.mask, big.box
                )
                joined.remove(small)
                break
    return joined


def _cut_off(small: Piece, big: Piece, pieces: list[Piece]) -> bool:
    return small is not big and any(
        other.colour != big.colour and _within(small.box, other.box) and _within(other.box, big.box)
        for other in pieces
    )


def _with_hidden(piece: Piece, pieces: list[Piece]) -> Piece:
    on_top = [
        other.plane
        for other in pieces
        if other.colour != piece.colour and _within(other.box, piece.box)
    ]
    if not on_top:
        return piece
    hidden = np.minimum(np.sum(on_top, axis=0), 1).astype(np.float32)
    return Piece(piece.colour, piece.plane, piece.mask, piece.box, hidden)
