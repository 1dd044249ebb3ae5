"""Image files for tests, good and hostile, made in memory."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, height: int = 12, width: int = 20) -> np.ndarray:
    """Return an asymmetric picture, so that a flip or a swap of axes shows."""
    ramp = np.linspace(0, 200, height * width).reshape(height, width, 1)
    tint = np.random.default_rng(seed).integers(0, 56, size=3)
    return (ramp + tint).astype(np.uint8)


def encoded(image: np.ndarray | Image.Image, kind: str = "png", **options: object) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write(path: Path, image: np.ndarray | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(path.suffix.lower(), "png")
    path.write_bytes(encoded(image, kind, **options))
    return path


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_of_header(width: int, height: int, *, bits: int = 8, rows: bytes = b"") -> bytes:
    """Return a colour PNG whose header says anything, such as a bomb of 50,000 x 50,000 pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
