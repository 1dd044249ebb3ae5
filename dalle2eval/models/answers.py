"""From what a system answered to uint8 pictures of one size, or a refusal that says what was wrong.

Size. A picture is square and at least as large as asked for; a larger one is brought down by the
mean over the area that each new pixel covers (Pillow's BOX). Means of means are means, so but for
rounding it makes no difference whether 256 px came between 1024 px and 64 px.
Nothing is ever enlarged or cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dalle2eval.models.faults import NOT_A_NUMBER, WrongAnswer, stand_in

CHANNELS = 3
OVERSHOOT = 1e-3  # what rounding may add to a float picture in [0, 1]


def as_pictures(answer: Sequence[ArrayLike], n: int, system: str) -> list[NDArray[np.uint8]]:
    """Return n pictures uint8 [h, w, 3] from uint8 ones, or float ones in [0, 1].

    A float picture with NaN or infinity becomes its stand-in (see `faults`).

    Raises:
        WrongAnswer: the count, the shape or the kind of numbers is not what was asked for.
    """
    if len(answer) != n:
        raise WrongAnswer(f"{system} answered {n} prompts with {len(answer)} pictures")
    return [_as_uint8(np.asarray(picture), system) for picture in answer]


def _as_uint8(picture: NDArray[Any], system: str) -> NDArray[np.uint8]:
    if picture.ndim != CHANNELS or picture.shape[2] != CHANNELS:
        raise WrongAnswer(f"{system} gave a picture of shape {picture.shape}; expected [h, w, 3]")
    if picture.dtype == np.uint8:
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise WrongAnswer(f"{system} gave {picture.dtype} pixels; expected uint8, or floats 0 to 1")
    if not np.isfinite(picture).all():
        return stand_in(NOT_A_NUMBER, min(picture.shape[:2]))
    low, high = float(picture.min()), float(picture.max())
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise WrongAnswer(f"{system} gave pixels from {low:.3g} to {high:.3g}; expected 0 to 1")
    pixels: NDArray[np.uint8] = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return pixels


def fit(picture: NDArray[np.uint8], size: int, system: str) -> NDArray[np.uint8]:
    """Return a picture as uint8 [size, size, 3].

    Raises:
        WrongAnswer: it is not square, or smaller than asked for.
    """
    check_side(picture.shape[0], picture.shape[1], size=size, system=system)
    if picture.shape[0] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))


def check_side(height: int, width: int, *, size: int, system: str) -> None:
    """Refuse a picture that cannot be brought to ``size`` pixels.

    Raises:
        WrongAnswer: it is not square, or smaller.
    """
    if height != width or height < size:
        raise WrongAnswer(
            f"{system} gave a picture of {width} x {height} pixels; "
            f"allowed: square ones of {size} or more"
        )
