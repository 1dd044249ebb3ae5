"""One image file to uint8 RGB [h, w, 3], by one rule for each thing that a file may be.

    16 bits a channel   the high byte (what Pillow itself does for colour)
    grey, 1 bit         three equal channels
    palette             its colours
    CMYK                Pillow's conversion; colour profiles are not applied, to any image
    alpha               composited on white, as is the one transparent colour of a PNG (tRNS)
    EXIF orientation    applied
    several frames      refused: which one is meant?

Only PNG, JPEG and WebP are opened, by their content and not by their names. A file with more than
`MAX_PIXELS` is refused by its header, before a pixel is decoded.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 2**26  # 8192 x 8192: beyond it, a small file that fills the memory
MAX_BYTES = 2**28  # of one file
BACKGROUND = (255, 255, 255)  # what shows through a transparent pixel
PNG_MAGIC, PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # signature; place of the bits a channel
HIGH_BYTE = 8  # bits to the right


class BadImage(ValueError):  # noqa: N818  (it says what the file is)
    """A file cannot be scored; the message says why, without its name."""


def decode(content: bytes) -> NDArray[np.uint8]:
    """Return the pixels uint8 [h, w, 3] of a PNG, JPEG or WebP file.

    Raises:
        BadImage: it is empty, no such image, cut, damaged, animated, or too large.
    """
    with _opened(content) as image:
        try:
            return np.asarray(_rgb(ImageOps.exif_transpose(image), deep=_is_deep(content)))
        except MemoryError:
            raise
        except Exception as error:
            raise BadImage(f"damaged or cut ({_brief(error)})") from None


def check(content: bytes) -> None:
    """Look for damage without decoding: header, size, checksums and the end of the file.

    Damage inside the compressed pixels of a JPEG or a WebP shows only when it is decoded.

    Raises:
        BadImage: see `decode`.
    """
    with _opened(content) as image:
        kind = image.format
        if kind == "PNG":
            try:
                image.verify()
            except Exception as error:
                raise BadImage(f"damaged or cut ({_brief(error)})") from None
    if kind == "JPEG" and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise BadImage("cut: no end of image after the last scan")
    if kind == "WEBP" and len(content) < int.from_bytes(content[4:8], "little") + 8:
        raise BadImage("cut: shorter than its header says")


def _opened(content: bytes) -> Image.Image:
    if not content:
        raise BadImage("empty")
    if len(content) > MAX_BYTES:
        raise BadImage(f"too large: {len(content):,} bytes, at most {MAX_BYTES:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise BadImage(f"too large: more than {MAX_PIXELS:,} pixels") from None
    except Exception:
        raise BadImage("not a PNG, JPEG or WebP image") from None
    _refuse(image)
    return image


def _refuse(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImage(f"too large: {width} x {height} pixels, at most {MAX_PIXELS:,}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise BadImage(f"animated: {frames} frames")


def _is_deep(content: bytes) -> bool:
    """Say whether a file is a PNG of 16 bits a channel; Pillow hides it where there is colour."""
    return content.startswith(PNG_MAGIC) and content[PNG_DEPTH : PNG_DEPTH + 1] == b"\x10"


def _rgb(image: Image.Image, *, deep: bool) -> Image.Image:
    seen_through = image.info.get("transparency")  # the one colour of a PNG without alpha
    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray((grey >> HIGH_BYTE).astype(np.uint8))
        if seen_through is not None:
            image.putalpha(Image.fromarray(np.where(grey == seen_through, 0, 255).astype(np.uint8)))
    elif deep and isinstance(seen_through, tuple):  # its pixels are high bytes by now
        image.info["transparency"] = tuple(part >> HIGH_BYTE for part in seen_through)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(canvas, image).convert("RGB")
    return image.convert("RGB")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
