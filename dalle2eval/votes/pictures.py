"""A side of a pair as one WebP file: a picture, or several in a grid.

Everything is encoded anew, so that no name, date or comment inside a file can tell the arm.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dalle2eval.records import InputError

GAP = 0.04  # between the pictures of a grid, in sides of a picture
MAX_SIDE = 1024
LOSSLESS_SIDE = 256
QUALITY = 95
BACKGROUND = (128, 128, 128)


def read_picture(path: Path) -> Image.Image:
    """Read one picture of a run.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path}: missing, though summary.json lists it") from None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: damaged, not a picture ({error})") from None


def grid(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures of one size out in rows, as square as may be; one picture stays itself."""
    if len(pictures) == 1:
        return pictures[0]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    side = pictures[0].width
    gap = max(2, round(side * GAP))
    sheet = Image.new(
        "RGB",
        (columns * (side + gap) - gap, rows * (side + gap) - gap),
        BACKGROUND,
    )
    for i, picture in enumerate(pictures):
        sheet.paste(picture, ((i % columns) * (side + gap), (i // columns) * (side + gap)))
    return sheet


def webp(image: Image.Image) -> bytes:
    """Return a picture as WebP, at most 1024 pixels wide, lossless up to 256."""
    image = image.copy()
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small = max(image.size) <= LOSSLESS_SIDE
    image.save(buffer, "WEBP", lossless=small, quality=QUALITY, method=2)
    return buffer.getvalue()
