"""Pictures that are no pictures: they are told at once, counted, and never averaged in.

A batch of pictures travels and is stored as pixels, and a system may have none to give for one of
its prompts. A stand-in of one colour takes that place; the colour says why. Pictures of one colour
are counted out in any case, so that nothing good can be mistaken for a stand-in.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dalle2eval.records import InputError

NOT_A_NUMBER = "the picture holds NaN or infinity"
REFUSED = "the service refused to draw this prompt"
ALL_EQUAL = "the same picture for every prompt and seed of its batch"

_STAND_INS: dict[str, tuple[int, int, int]] = {NOT_A_NUMBER: (255, 0, 254), REFUSED: (254, 0, 255)}
BLACK = (0, 0, 0)
WHOLE_BATCH = 4  # from so many pictures on, a batch without a good one stops the run

_log = logging.getLogger(__name__)


class WrongAnswer(InputError):  # noqa: N818  (it says what the system gave)
    """A system's answer is no answer to the question: wrong count, shape, size or kind."""


def stand_in(reason: str, side: int) -> NDArray[np.uint8]:
    """Return what takes the place of a picture that is not there, uint8 [side, side, 3].

    Args:
        reason: `NOT_A_NUMBER` or `REFUSED`.
        side: in pixels.
    """
    return np.full((side, side, 3), _STAND_INS[reason], np.uint8)


def find_faults(images: NDArray[np.uint8]) -> list[str | None]:
    """Say of each image [n, h, w, 3] why it cannot be judged, or None for a picture."""
    found = [_one_colour(image) for image in images]
    if len(images) > 1 and (images == images[0]).all():
        return [reason or ALL_EQUAL for reason in found]
    return found


def _one_colour(image: NDArray[np.uint8]) -> str | None:
    red, green, blue = (int(value) for value in image[0, 0])
    colour = (red, green, blue)
    if (image != image[0, 0]).any():
        return None
    if colour == BLACK:
        return "all black"
    by_colour = {value: reason for reason, value in _STAND_INS.items()}
    return by_colour.get(colour, f"one colour everywhere {colour}")


def tell_faults(images: NDArray[np.uint8], prompts: Sequence[str], system: str) -> None:
    """Tell at once of pictures that cannot be judged.

    Args:
        images: uint8 [n, h, w, 3], as they were drawn.
        prompts: of each.
        system: its name.

    Raises:
        WrongAnswer: not one of at least `WHOLE_BATCH` pictures can be judged.
    """
    reasons = find_faults(images)
    bad = [(prompt, reason) for prompt, reason in zip(prompts, reasons, strict=True) if reason]
    if not bad:
        return
    prompt, reason = bad[0]
    text = (
        f"{system}: {len(bad)} of {len(images)} pictures cannot be judged, "
        f"first of {prompt[:60]!r}: {reason}"
    )
    if len(bad) == len(images) and len(bad) >= WHOLE_BATCH:
        raise WrongAnswer(text)
    _log.warning("%s; they are counted as unscored", text)
