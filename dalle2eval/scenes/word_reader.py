"""From a coverage plane to letters: the word whose letters explain the ink best, found exactly.

The ink is brought to a fixed height of capitals and compared with the font's 26 capitals T at
every column. As letters do not overlap, the squared error of a word splits into a sum over its
letters, |S - sum T|^2 = |S|^2 - sum (2 S.T - |T|^2), so dynamic programming over (letter, column)
with the font's advances and kerning finds the best of all letter sequences. No word list is used:
misspelled words are read as they stand.
"""

from __future__ import annotations

import functools
import itertools
import string
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from dalle2eval.scenes.renderer import font_path
from dalle2eval.scenes.unmixing import Plane

LETTERS = string.ascii_uppercase
CAPITAL = 24  # rows of a capital after resampling
ABOVE, BELOW, BEFORE = 3, 9, 4  # rows and columns kept around a capital (the tails of J and Q)
WIDEST = 37  # columns of W
MAX_LETTERS = 8
SLACK = 1  # columns by which a letter may stray from its place
SCALES = (1.0, 0.95, 1.05, 0.9, 1.1)  # of the measured height of capitals
GOOD = 0.97  # share explained at which no other scale is tried
TAILS = (1.28, 1.21)  # height of the ink of words with J, with Q, in capitals
TAIL_SHARE = 0.4  # lower rows with less ink than this share of the mean hold only a tail
SOLID = 0.4
_DRAWN = 4 * CAPITAL
_EM = 0.729  # height of DejaVu Sans' capitals, in em
_NEVER = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class WordFit:
    """Letters, and the share of the ink's energy that they explain (1 is all of it)."""

    text: str
    explained: float


@dataclass(frozen=True, slots=True)
class _Alphabet:
    templates: Plane  # [26, rows * columns], as soft as letters of one height are
    energies: Plane  # [26]
    steps: NDArray[np.int64]  # columns from letter i to the letter j after it [26, 26]


def read_word(plane: Plane) -> WordFit:
    """Return the letters that explain a coverage plane [h, w] best."""
    rows = np.flatnonzero((plane > SOLID).any(axis=1))
    columns = np.flatnonzero((plane > SOLID).any(axis=0))
    ink = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    soft = float(ink[0].max() + ink[-1].max())  # the outer rows may be covered in part
    height = len(ink) - 2 + min(soft, 2.0)
    top = rows[0] + 1 - min(float(ink[0].max()), 1.0)
    best = WordFit("", 0.0)
    for tail, scale in itertools.product(_tails(ink), SCALES):
        fit = _fit(plane, top, (columns[0], columns[-1] + 1), height * scale / tail)
        best = max(best, fit, key=lambda f: f.explained)
        if best.explained > GOOD:
            break
    return best


def _tails(ink: Plane) -> tuple[float, ...]:
    """Return the ink's possible heights in capitals: more than 1 where the foot is a mere tail."""
    profile = ink.sum(axis=1)
    foot = profile[-max(1, round(0.12 * len(ink))) :]
    return TAILS if foot.mean() < TAIL_SHARE * profile.mean() else (1.0,)


def _fit(plane: Plane, top: float, span: tuple[int, int], capital: float) -> WordFit:
    alphabet = _alphabet(round(2 * capital) / 2)
    strip = _strip(plane, top, span, capital)
    windows = sliding_window_view(strip, (len(strip), BEFORE + WIDEST))[0]
    products = windows.reshape(len(windows), -1) @ alphabet.templates.T  # [columns, 26]
    gains = (2 * products - alphabet.energies).T
    text, gain = _best_word(gains, alphabet.steps)
    return WordFit(text, gain / float((strip * strip).sum()))


def _strip(plane: Plane, top: float, span: tuple[int, int], capital: float) -> Plane:
    """Resample the ink so that capitals are `CAPITAL` rows high, with room on all sides."""
    pixel = capital / CAPITAL  # picture pixels in one row of the strip
    pad = int(np.ceil((WIDEST + BEFORE) * pixel)) + 2
    padded = Image.fromarray(np.pad(plane, pad))
    left = span[0] + pad - 2 * BEFORE * pixel
    columns = int(np.ceil((span[1] - span[0]) / pixel)) + 2 * BEFORE + WIDEST
    rows = ABOVE + CAPITAL + BELOW
    upper = top + pad - ABOVE * pixel
    box = (left, upper, min(left + columns * pixel, padded.width), upper + rows * pixel)
    return np.asarray(padded.resize((columns, rows), Image.Resampling.BILINEAR, box))


def _best_word(gains: Plane, steps: NDArray[np.int64]) -> tuple[str, float]:
    """Return the letters with the largest sum of gains [26, columns], and that sum (Viterbi)."""
    columns = gains.shape[1]
    come_from = np.arange(columns) - steps[..., None]  # [from, to, columns]
    inside = come_from >= 0
    come_from = np.maximum(come_from, 0)
    letters = np.arange(len(LETTERS))[:, None, None]
    sums, before = [gains], []  # best sum of so many letters, the last one at [letter, column]
    for _ in range(1, MAX_LETTERS):
        loose = ndimage.maximum_filter1d(sums[-1], 2 * SLACK + 1, axis=1)
        reached = np.where(inside, loose[letters, come_from], _NEVER)
        before.append(reached.argmax(axis=0))
        sums.append(reached.max(axis=0) + gains)
        if sums[-1].max() < sums[-2].max():
            break
    length = int(np.argmax([s.max() for s in sums]))
    return _spelled(sums, before, steps, length), float(sums[length].max())


def _spelled(
    sums: list[Plane], before: list[NDArray[np.int64]], steps: NDArray[np.int64], last: int
) -> str:
    """Follow the best sum back to the first letter."""
    letter, column = (int(i) for i in np.unravel_index(sums[last].argmax(), sums[last].shape))
    word = LETTERS[letter]
    for index in range(last - 1, -1, -1):
        previous = int(before[index][letter, column])
        start = max(column - int(steps[previous, letter]) - SLACK, 0)
        column = start + int(sums[index][previous, start : start + 2 * SLACK + 1].argmax())
        letter = previous
        word = LETTERS[letter] + word
    return word


@functools.lru_cache(maxsize=64)
def _alphabet(capital: float) -> _Alphabet:
    """Return the capitals as they look at so many pixels of height, resampled to `CAPITAL`."""
    # A pixel's box and the bilinear enlargement together blur by half a picture pixel.
    softness = 0.5 * CAPITAL / capital
    font = ImageFont.truetype(font_path(), round(_DRAWN / _EM))
    templates = np.stack([ndimage.gaussian_filter(_glyph(c, font), softness) for c in LETTERS])
    flat = templates.reshape(len(LETTERS), -1)
    return _Alphabet(flat, np.einsum("kp,kp->k", flat, flat), _steps(font))


def _glyph(letter: str, font: ImageFont.FreeTypeFont) -> Plane:
    scale = _DRAWN // CAPITAL
    size = ((BEFORE + WIDEST) * scale, (ABOVE + CAPITAL + BELOW) * scale)
    image = Image.new("L", size)
    baseline = (BEFORE * scale, (ABOVE + CAPITAL) * scale)
    ImageDraw.Draw(image).text(baseline, letter, fill=255, font=font, anchor="ls")
    return np.asarray(image.reduce(scale), np.float32) / 255


def _steps(font: ImageFont.FreeTypeFont) -> NDArray[np.int64]:
    scale = _DRAWN // CAPITAL
    pairs = [[font.getlength(a + b) - font.getlength(b) for b in LETTERS] for a in LETTERS]
    return np.rint(np.asarray(pairs) / scale).astype(np.int64)
