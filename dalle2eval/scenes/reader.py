"""The exact judge: pixels in, the scene out, or a reason why there is none instead of a guess.

The picture is brought to 64 pixels, written as mixes of the fewest colours that explain it
(`unmixing.py`), cut into pieces (`segmentation.py`), and each piece is compared with the
renderer's own shapes (`shape_classifier.py`); one colour in one long row is read as letters
(`word_reader.py`). Nothing is learnt, nothing is random, and the prompt is never looked at.

Where the constants of the reader's five files come from: what follows from the renderer is derived
beside the constant. The others were set by hand and stand for what they were found to do:
`benchmarks/reader_constants.py` (rows in benchmarks/results/reader_constants.json) notes what true
pictures show ("seen": 200 renders, clean, JPEG, noise, blur) and halves and doubles each constant
alone ("moved": 32 renders of objects, 8 of words, 12 pictures that are no scene, of which 11 are
refused as it is). "Plateau" says that neither changed a single verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dalle2eval.records import InputError
from dalle2eval.scenes.layout import SIZE_BOUNDARY, Placed
from dalle2eval.scenes.relations import relation_between
from dalle2eval.scenes.segmentation import Piece, pieces_of
from dalle2eval.scenes.shape_classifier import Fit, classify
from dalle2eval.scenes.unmixing import Coverage, Plane, Unreadable, unmix
from dalle2eval.scenes.word_reader import read_word

READ_SIZE = 64  # pixels; larger pictures are reduced to it: what the decoder draws
# Overlap of the best shape with the piece. Seen: 0.834 or more (0.728 for rings). Halved, 9 of 12
# pictures that are no scene are refused in place of 11.
MIN_OVERLAP = 0.7
# Or so much, where the next best shape is so much worse: a thin ring overlaps little, but other
# shapes with it far less (seen: a ring's margin is 0.521 or more). Plateau.
MIN_THIN_OVERLAP, MIN_THIN_MARGIN = 0.5, 0.2
# Of the best shape over the next best. Seen: 0.075 or more, five times as much. Plateau.
MIN_MARGIN = 0.015
# A row of ink at least so wide for its height may be a word. Derived: a triangle, the widest shape,
# is √3/1.5 = 1.155; "IT", the narrowest word, is 1.446 in DejaVu Sans Bold (by its getbbox).
# Doubled, 1 of 8 words is lost; halved, nothing changes.
WORD_ASPECT = 1.25
# Of the picture's side. Derived: "IT" drawn smallest is 0.30 x 0.92 x 1.446 = 0.40 (layout.py).
# Doubled, 1 of 8 words is lost; halved, nothing changes.
MIN_WORD_WIDTH = 0.33
# Of the picture's side. Derived from layout.py: capitals of six letters are at least
# 0.94/(1.13 x 6) x 0.92 = 0.13 high, those of two letters 0.30 at most, with the tail of J 0.38.
# Seen: 0.125 to 0.312.
WORD_HEIGHTS = (0.09, 0.45)
MIN_EXPLAINED = 0.7  # of the ink, by the letters. Seen: 0.963 or more. Halved: no change.
SOLID = 0.4  # as in segmentation.py; here it only bounds the row of ink. Plateau.


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a picture shows; nothing but a reason when it cannot be read.

    Attributes:
        background: name of the background.
        objects: from top to bottom, with centre and radius in shares of the side.
        word: letters in reading order, with ``word_colour``; then there are no objects.
        unreadable: why the picture cannot be read; None when it was read.
    """

    background: str | None = None
    objects: tuple[Placed, ...] = ()
    word: str | None = None
    word_colour: str | None = None
    unreadable: str | None = None


def read(image: NDArray[np.uint8]) -> Reading:
    """Read a picture: uint8 [h, w, 3], of any size from 64 pixels on.

    Raises:
        InputError: the array is no picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:  # noqa: PLR2004
        raise InputError(f"a picture is uint8 [h, w, 3]; this is {image.dtype} {list(image.shape)}")
    try:
        return _read_scene(unmix(_reduced(image)))
    except Unreadable as reason:
        return Reading(unreadable=str(reason))


def facts_of(reading: Reading) -> dict[str, Any]:
    """Return the reading as plain JSON data: scene facts with rounded places.

    Of two objects, the relation is the one that holds from the first to the second, in an order in
    which there is one.
    """
    objects, relation = _related(reading.objects)
    return {
        "background": reading.background,
        "objects": [
            {
                "shape": item.shape,
                "colour": item.colour,
                "size": "small" if item.radius < SIZE_BOUNDARY else "large",
                "x": round(item.x, 3),
                "y": round(item.y, 3),
                "radius": round(item.radius, 3),
            }
            for item in objects
        ],
        "relation": relation,
        "word": reading.word,
        "word_colour": reading.word_colour,
    }


def _related(objects: tuple[Placed, ...]) -> tuple[tuple[Placed, ...], str | None]:
    if len(objects) != 2:  # noqa: PLR2004 - a relation joins two
        return objects, None
    for pair in (objects, objects[::-1]):
        if relation := relation_between(*pair):
            return pair, relation
    return objects, None


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if height != width or height < READ_SIZE:
        raise Unreadable(f"{width} x {height} pixels; scenes are square and at least {READ_SIZE}")
    if height == READ_SIZE:
        return image
    small = Image.fromarray(image).resize((READ_SIZE, READ_SIZE), Image.Resampling.BOX)
    return np.asarray(small)


def _read_scene(coverage: Coverage) -> Reading:
    word = _word_of(coverage)
    if word is not None:
        return word
    fits = [_classified(piece) for piece in pieces_of(coverage)]
    if not fits:
        raise Unreadable("nothing but background")
    objects = sorted((fit.placed for fit in fits), key=lambda item: (item.y, item.x))
    return Reading(background=coverage.background, objects=tuple(objects))


def _classified(piece: Piece) -> Fit:
    fit = classify(piece)
    if not _is_shape(fit):
        raise Unreadable(f"the {piece.colour} patch has none of the shapes")
    if fit.overlap - fit.runner_up < MIN_MARGIN:
        raise Unreadable(f"the {piece.colour} patch could be more than one shape")
    return fit


def _is_shape(fit: Fit) -> bool:
    thin = fit.overlap >= MIN_THIN_OVERLAP and fit.overlap - fit.runner_up >= MIN_THIN_MARGIN
    return fit.overlap >= MIN_OVERLAP or thin


def _word_of(coverage: Coverage) -> Reading | None:
    """Return the word that the picture shows, or None when it shows objects."""
    if len(coverage.planes) != 1:
        return None
    [(colour, plane)] = coverage.planes.items()
    if not _in_a_row(plane) or _objects_explain(coverage):
        return None
    fit = read_word(plane)
    if fit.explained < MIN_EXPLAINED:
        raise Unreadable(f"a row of {colour} ink that is no word")
    return Reading(background=coverage.background, word=fit.text, word_colour=colour)


def _in_a_row(plane: Plane) -> bool:
    solid = plane > SOLID
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if len(rows) == 0:
        return False
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    low, high = (share * len(plane) for share in WORD_HEIGHTS)
    wide = width > max(WORD_ASPECT * height, MIN_WORD_WIDTH * len(plane))
    return bool(wide and low < height < high)


def _objects_explain(coverage: Coverage) -> bool:
    """Say whether every piece clearly is a shape: equal objects may stand in a row too."""
    try:
        return all(_classified(piece) for piece in pieces_of(coverage))
    except Unreadable:
        return False
