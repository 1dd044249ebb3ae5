"""From a layout to pixels, at any size: antialiased by signed distance, deterministic.

Each shape is a signed distance (negative inside) to its outline, in pixels; coverage is that
distance clipped over one pixel. Words are drawn from one tall mask of DejaVu Sans Bold (it comes
with matplotlib), reduced by an area-true filter.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dalle2eval.scenes.grammar import Scene
from dalle2eval.scenes.layout import Layout, Placed, PlacedWord, place
from dalle2eval.scenes.vocabulary import BACKGROUNDS, COLOURS

SQUARE_HALF_SIDE = 0.8  # of the radius; so that squares and circles cover like areas
RING_WIDTH = 0.3  # of the radius
CROSS_HALF_WIDTH = 0.36  # of the radius
STAR_INNER = 0.45  # inner radius of the star, of its radius
_GLYPH_HEIGHT = 320  # pixels of the tall mask's capitals
_SIN60, _TRIANGLE_INRADIUS = np.sqrt(3) / 2, 0.5

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]


def render(layout: Layout, size: int = 64) -> Pixels:
    """Return the picture as uint8 [size, size, 3]."""
    canvas = np.empty((size, size, 3), np.float32)
    canvas[:] = BACKGROUNDS[layout.background]
    for placed in layout.objects:
        _paint(canvas, placed)
    if layout.word is not None:
        _paint_word(canvas, layout.word)
    return (canvas + 0.5).astype(np.uint8)


def draw(scene: Scene, seed: int, size: int = 64) -> Pixels:
    """Lay out and render a scene: uint8 [size, size, 3]."""
    return render(place(scene, seed), size)


def coverage_of(placed: Placed, size: int) -> tuple[tuple[slice, slice], Plane]:
    """Return an object's rows and columns in a picture of this size, and its share of pixels."""
    radius, x, y = placed.radius * size, placed.x * size, placed.y * size
    top, bottom = max(int(y - radius) - 1, 0), min(int(y + radius) + 3, size)
    left, right = max(int(x - radius) - 1, 0), min(int(x + radius) + 3, size)
    dx = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x))[None, :]
    dy = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y))[:, None]
    coverage = np.clip(0.5 - _DISTANCES[placed.shape](dx, dy, radius), 0.0, 1.0)
    return (slice(top, bottom), slice(left, right)), coverage


def _paint(canvas: Plane, placed: Placed) -> None:
    window, coverage = coverage_of(placed, len(canvas))
    _blend(canvas[window], coverage, placed.colour)


def _blend(patch: Plane, coverage: Plane, colour: str) -> None:
    patch += coverage[..., None] * (np.asarray(COLOURS[colour], np.float32) - patch)


def _circle(dx: Plane, dy: Plane, radius: float) -> Plane:
    return np.sqrt(dx * dx + dy * dy) - radius


def _square(dx: Plane, dy: Plane, radius: float) -> Plane:
    return np.maximum(np.abs(dx), np.abs(dy)) - SQUARE_HALF_SIDE * radius


def _triangle(dx: Plane, dy: Plane, radius: float) -> Plane:
    slope = _SIN60 * np.abs(dx) - 0.5 * dy
    return np.maximum(slope, dy) - np.float32(_TRIANGLE_INRADIUS * radius)


def _ring(dx: Plane, dy: Plane, radius: float) -> Plane:
    half = RING_WIDTH / 2 * radius
    return np.abs(np.sqrt(dx * dx + dy * dy) - (radius - half)) - half


def _cross(dx: Plane, dy: Plane, radius: float) -> Plane:
    across, along = np.abs(dx), np.abs(dy)
    arm = CROSS_HALF_WIDTH * radius
    upright = np.maximum(across - arm, along - radius)
    return np.minimum(upright, np.maximum(across - radius, along - arm))


def _star(dx: Plane, dy: Plane, radius: float) -> Plane:
    """Fold the plane onto one half of one point; the outline there is a single line."""
    angle = np.abs(np.mod(np.arctan2(dx, -dy) + np.pi / 5, 2 * np.pi / 5) - np.pi / 5)
    rho = np.sqrt(dx * dx + dy * dy)
    notch_x, notch_y = STAR_INNER * np.cos(np.pi / 5), STAR_INNER * np.sin(np.pi / 5)
    normal = np.array([notch_y, 1 - notch_x]) / np.hypot(notch_y, 1 - notch_x)
    along, across = rho * np.cos(angle), rho * np.sin(angle)
    return (along - radius) * np.float32(normal[0]) + across * np.float32(normal[1])


_DISTANCES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "cross": _cross,
    "star": _star,
}


def font_path() -> Path:
    """Find DejaVu Sans Bold without importing matplotlib, which takes half a second."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "matplotlib is not installed; its DejaVuSans-Bold.ttf draws the words"
        )
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


@functools.lru_cache(maxsize=512)
def word_mask(text: str) -> Image.Image:
    """Return a word as a tall grey mask (capitals 320 px high), cut to its ink."""
    # Capitals of DejaVu Sans are 0.729 em high.
    font = ImageFont.truetype(font_path(), round(_GLYPH_HEIGHT / 0.729))
    mask = Image.new("L", (int(font.getlength(text)) + 64, 2 * _GLYPH_HEIGHT))
    ImageDraw.Draw(mask).text((32, _GLYPH_HEIGHT // 4), text, fill=255, font=font)
    return mask.crop(mask.getbbox())


def _paint_word(canvas: Plane, word: PlacedWord) -> None:
    size = len(canvas)
    mask = word_mask(word.text)
    scale = _GLYPH_HEIGHT / (word.height * size)  # mask pixels per picture pixel
    width, height = mask.width / scale, mask.height / scale
    left, top = round(word.x * size - width / 2), round(word.y * size - height / 2)
    columns, rows = int(np.ceil(width)) + 1, int(np.ceil(height)) + 1
    padded = Image.new("L", (round(columns * scale), round(rows * scale)))
    padded.paste(mask, (0, 0))
    reduced = padded.resize((columns, rows), Image.Resampling.BOX)
    coverage = np.asarray(reduced, np.float32) / 255
    region = canvas[max(top, 0) : top + rows, max(left, 0) : left + columns]
    coverage = coverage[max(-top, 0) :, max(-left, 0) :][: region.shape[0], : region.shape[1]]
    _blend(region, coverage, word.colour)
