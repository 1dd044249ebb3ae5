"""Pictures as data URIs, so that the page is one file: WebP, at most 512 pixels wide.

The page has a budget. Once it is spent, further pictures are left out and counted, never dropped in
silence; the originals lie beside the page.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from dalle2eval.records import InputError
from reports.run_record import Picture

MAX_SIDE = 512
SMALL_SIDE, SMALL_BYTES = 64, 3_000  # shown enlarged, so lossless where that is cheap
SMALL_QUALITY, QUALITY = 92, 84
BUDGET_BYTES = 6_500_000  # of 8 MB for the page


@dataclass(slots=True)
class Thumbnails:
    """Makes each picture's data URI once, until the budget is spent."""

    folder: Path
    budget_bytes: int = BUDGET_BYTES
    spent_bytes: int = 0
    left_out: set[str] = field(default_factory=set)
    _made: dict[str, str] = field(default_factory=dict)

    def uri(self, picture: Picture) -> str | None:
        """Return the picture as a data URI; None when the page has no room for it.

        Raises:
            InputError: the file is missing, damaged, or lies outside the run folder.
        """
        if picture.path not in self._made:
            self._made[picture.path] = data_uri(self.folder, picture)
        uri = self._made[picture.path]
        if self.spent_bytes + len(uri) > self.budget_bytes:
            self.left_out.add(picture.path)
            return None
        self.spent_bytes += len(uri)
        return uri


def data_uri(folder: Path, picture: Picture) -> str:
    """Read one picture and return it as WebP in a data URI."""
    path = folder / picture.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path}: leads outside the run folder")
    try:
        with Image.open(path) as image:
            content = _webp(image.convert("RGB"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing, though summary.json lists it") from None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: damaged, not a picture ({error})") from None
    return "data:image/webp;base64," + base64.b64encode(content).decode()


def _webp(image: Image.Image) -> bytes:
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=1.0)
    if max(image.size) > SMALL_SIDE:
        return _encode(image, lossless=False, quality=QUALITY)
    content = _encode(image, lossless=True, quality=QUALITY)
    if len(content) <= SMALL_BYTES:
        return content
    return _encode(image, lossless=False, quality=SMALL_QUALITY)


def _encode(image: Image.Image, *, lossless: bool, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=quality, method=2)
    return buffer.getvalue()
