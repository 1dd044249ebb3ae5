"""From a coverage plane to letters: the word whose letters explain the ink best, found exactly.

The font's 26 capitals T are drawn at the ink's height as the renderer would, at every fraction of a
pixel, and compared with the ink S at every place. As letters do not overlap, the squared error of a
word splits into a sum over its letters, |S - sum T|^2 = |S|^2 - sum (2 S.T - |T|^2), so dynamic
programming over (letter, place) with the font's advances and kerning finds the best of all letter
sequences (Viterbi 1967). No word list is used: misspelled words are read as they stand.

Where the constants come from ("plateau", on 8 words): see `reader.py`. Those of the font are DejaVu
Sans Bold's own, by `ImageFont.getbbox` and `getlength` at 2048 pixels: capitals are 0.729 em high,
W, the widest, advances 1.513 of that, J reaches 0.275 of it below the line and Q 0.200.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from dalle2eval.scenes.renderer import font_path
from dalle2eval.scenes.unmixing import Plane

LETTERS = string.ascii_uppercase
MAX_LETTERS = 8  # the vocabulary's longest word has six; a misspelt one may have two more
PHASES = 4  # places a letter may stand at within a pixel: a quarter is HEIGHT_STEP. Plateau.
# Places by which a letter may stray from its advance, for that is rounded to a place. Plateau.
SLACK = 1
# Pixels between the heights of capitals that are tried: half of it shifts the last of six letters
# by 0.125 x 6.4 = 0.8 pixels, which five times SLACK, 1.25 pixels, takes up. Plateau.
HEIGHT_STEP = 0.25
MAX_STEPS = 8  # so far, 2 pixels, is the measured height from the best one at most. Plateau.
# Pixels of blur tried besides the renderer's own; more joins narrow letters. Plateau.
SOFTNESS = 0.5
# Share explained under which the ink may have a tail that was not noticed; seen: 0.963 or more.
# Plateau.
GOOD = 0.9
TAIL = 1.28  # height of the ink in capitals, with the tail of J: 1 + 0.275. Plateau.
# Lower rows with less ink than this share of the mean hold only a tail. Doubled, 4 of 8 words are
# lost; halved, none.
TAIL_SHARE = 0.55
SOLID = 0.4  # as in segmentation.py; here it bounds the ink. Plateau.
_MARGIN = 2  # pixels of a template around its letter: the soft edge, and the blur's
_OVERSAMPLING = 8  # drawn pixels in one template pixel: twice as fine as the phases. Plateau.
_EM = 0.729  # height of DejaVu Sans Bold's capitals, in em: 1493 of 2048
_WIDEST, _TAIL = 1.55, 0.3  # room for W's advance, 1.513, and J's tail, 0.275, in capitals
_NEVER = np.float32(-1e9)
_Written = list[tuple[int, int]]  # letters and their places, in reading order


@dataclass(frozen=True, slots=True)
class WordFit:
    """Letters, and the share of the ink's energy that they explain (1 is all of it)."""

    text: str
    explained: float


@dataclass(frozen=True, slots=True)
class _Alphabet:
    """The capitals at one height: templates and advances.

    Attributes:
        templates: [phases, 26, rows * columns].
        rows: of a template; its capitals begin `_MARGIN` from its top and left.
        columns: of a template.
        energies: |T|^2 [phases, 26].
        steps: places from letter i to letter j after it [26, 26].
        kerned: the pairs [n, 2] whose step is not the first letter's plain advance.
    """

    templates: Plane
    rows: int
    columns: int
    energies: Plane
    steps: NDArray[np.int64]
    kerned: NDArray[np.int64]


def read_word(plane: Plane) -> WordFit:
    """Return the letters that explain a coverage plane [h, w] best.

    How much a word explains has one peak over the height of its capitals: it is climbed.
    """
    rows = np.flatnonzero((plane > SOLID).any(axis=1))
    columns = np.flatnonzero((plane > SOLID).any(axis=0))
    fit = functools.partial(_fit, plane, int(rows[0]), (int(columns[0]), int(columns[-1])))
    height = _height(plane[rows[0] : rows[-1] + 1])
    best = _climb(fit, height)
    if best.explained < GOOD:
        best = max(best, _climb(fit, height / TAIL), key=lambda f: f.explained)
    return best


def _climb(fit: Callable[[float, float], WordFit], height: float) -> WordFit:
    """Return the best fit near a height of capitals, and blurred if that is better still."""
    start = round(height / HEIGHT_STEP)
    tried = {start: fit(start * HEIGHT_STEP, 0.0)}
    for direction in (-1, 1):
        step = max(tried, key=lambda s: tried[s].explained) + direction
        while step not in tried and abs(step - start) <= MAX_STEPS:
            tried[step] = fit(step * HEIGHT_STEP, 0.0)
            if tried[step].explained < tried[step - direction].explained:
                break
            step += direction
    best = max(tried, key=lambda s: tried[s].explained)
    soft = fit(best * HEIGHT_STEP, SOFTNESS)
    return max(tried[best], soft, key=lambda f: f.explained)


def _height(ink: Plane) -> float:
    """Return about how high the capitals are: down to the last row that is no tail of J or Q."""
    profile = ink.sum(axis=1)
    return float(np.flatnonzero(profile > TAIL_SHARE * profile.mean())[-1] + 1)


def _fit(plane: Plane, top: int, span: tuple[int, int], capital: float, softness: float) -> WordFit:
    alphabet = _alphabet(capital, softness)
    strip = _strip(plane, top, span, alphabet)
    windows = sliding_window_view(strip, (alphabet.rows, alphabet.columns))[0]
    flat = windows.reshape(len(windows), -1)  # [pixels, rows * columns]
    products = alphabet.templates @ flat.T  # [phases, 26, pixels]
    gains = 2 * products - alphabet.energies[..., None]
    by_place = np.moveaxis(gains, 0, -1).reshape(len(LETTERS), -1)  # [26, pixels * phases]
    written = _best_word(by_place, alphabet)
    left = strip - _drawn(written, alphabet, strip.shape)
    text = "".join(LETTERS[letter] for letter, _ in written)
    return WordFit(text, 1 - float((left * left).sum()) / float((strip * strip).sum()))


def _drawn(written: _Written, alphabet: _Alphabet, shape: tuple[int, ...]) -> Plane:
    """Return the letters together, soft edges and all, as a strip [rows, pixels]."""
    canvas = np.zeros(shape, np.float32)
    for letter, place in written:
        pixel, phase = divmod(place, PHASES)
        template = alphabet.templates[phase, letter].reshape(alphabet.rows, alphabet.columns)
        canvas[:, pixel : pixel + alphabet.columns] += template
    return np.minimum(canvas, 1)


def _strip(plane: Plane, top: int, span: tuple[int, int], alphabet: _Alphabet) -> Plane:
    """Cut out the ink's rows, with room on both sides for a letter to begin and to end."""
    pad = alphabet.columns + _MARGIN
    padded = np.pad(plane, pad)
    first_row = top + pad - _MARGIN
    columns = slice(span[0] + pad - 2 * _MARGIN, span[1] + pad + alphabet.columns)
    return padded[first_row : first_row + alphabet.rows, columns]


def _best_word(gains: Plane, alphabet: _Alphabet) -> _Written:
    """Return the letters with the largest sum of gains [26, places]."""
    sums = [gains]  # best sum of so many letters, the last one at [letter, place]
    for _ in range(1, MAX_LETTERS):
        sums.append(_reached(sums[-1], alphabet) + gains)
        if sums[-1].max() < sums[-2].max():
            break
    last = int(np.argmax([s.max() for s in sums]))
    return _spelled(sums[: last + 1], alphabet.steps)


def _reached(sums: Plane, alphabet: _Alphabet) -> Plane:
    """Return the best sum with which a letter may begin at each place [26, places]."""
    loose = ndimage.maximum_filter1d(sums, 2 * SLACK + 1, axis=1)
    advances = alphabet.steps.max(axis=1)
    plain = _shifted(loose, np.arange(len(LETTERS)), advances).max(axis=0)
    reached = np.repeat(plain[None], len(LETTERS), axis=0)
    first, second = alphabet.kerned.T
    np.maximum.at(reached, second, _shifted(loose, first, alphabet.steps[first, second]))
    return reached


def _shifted(sums: Plane, letters: NDArray[np.int64], steps: NDArray[np.int64]) -> Plane:
    places = np.arange(sums.shape[1]) - steps[:, None]
    return np.where(places >= 0, sums[letters[:, None], np.maximum(places, 0)], _NEVER)


def _spelled(sums: list[Plane], steps: NDArray[np.int64]) -> _Written:
    """Follow the best sum back to the first letter."""
    letter, place = (int(i) for i in np.unravel_index(sums[-1].argmax(), sums[-1].shape))
    written = [(letter, place)]
    slack = np.arange(-SLACK, SLACK + 1)
    for earlier in reversed(sums[:-1]):
        places = place - steps[:, [letter]] + slack  # [from, slack]
        before = np.take_along_axis(earlier, np.clip(places, 0, earlier.shape[1] - 1), axis=1)
        before = np.where(places >= 0, before, _NEVER)
        letter, best = (int(i) for i in np.unravel_index(before.argmax(), before.shape))
        place = int(places[letter, best])
        written.append((letter, place))
    return written[::-1]


@functools.lru_cache(maxsize=128)
def _alphabet(capital: float, softness: float) -> _Alphabet:
    """Return the capitals, so many pixels high, as the renderer draws them and a blur softens."""
    font = ImageFont.truetype(font_path(), capital * _OVERSAMPLING / _EM)
    rows = int(np.ceil(capital * (1 + _TAIL))) + 2 * _MARGIN
    columns = int(np.ceil(capital * _WIDEST)) + 2 * _MARGIN
    glyphs = [_glyph(letter, font, (rows, columns)) for letter in LETTERS]
    templates = np.stack([_reduced(np.stack(glyphs), phase) for phase in range(PHASES)])
    if softness:
        templates = ndimage.gaussian_filter(templates, (0, 0, softness, softness))
    flat = templates.reshape(PHASES, len(LETTERS), -1)
    steps, kerned = _steps(capital)
    return _Alphabet(flat, rows, columns, np.einsum("akp,akp->ak", flat, flat), steps, kerned)


def _glyph(letter: str, font: ImageFont.FreeTypeFont, shape: tuple[int, int]) -> Plane:
    rows, columns = (side * _OVERSAMPLING for side in shape)
    image = Image.new("L", (columns, rows))
    margin = _MARGIN * _OVERSAMPLING
    baseline = round(margin + font.size * _EM)
    ImageDraw.Draw(image).text((margin, baseline), letter, fill=255, font=font, anchor="ls")
    return np.asarray(image, np.float32) / 255


def _reduced(glyphs: Plane, phase: int) -> Plane:
    """Return the glyphs [26, rows, columns] by area, after moving them right by a phase."""
    moved = np.roll(glyphs, phase * _OVERSAMPLING // PHASES, axis=2)
    rows, columns = (side // _OVERSAMPLING for side in moved.shape[1:])
    cells = moved.reshape(len(LETTERS), rows, _OVERSAMPLING, columns, _OVERSAMPLING)
    return cells.mean(axis=(2, 4))


@functools.lru_cache(maxsize=128)
def _steps(capital: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places between letters [26, 26], and the pairs that are kerned [n, 2]."""
    pairs = _advances()
    steps = np.rint(pairs * capital * PHASES).astype(np.int64)
    return steps, np.argwhere(steps < steps.max(axis=1, keepdims=True))


@functools.cache
def _advances() -> NDArray[np.float64]:
    """Return how far a letter is from the one before it, in heights of capitals [26, 26]."""
    font = ImageFont.truetype(font_path(), 1000)
    pairs = [[font.getlength(a + b) - font.getlength(b) for b in LETTERS] for a in LETTERS]
    return np.asarray(pairs) / (1000 * _EM)
