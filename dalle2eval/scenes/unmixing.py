"""From pixels to coverage: how much of each pixel every colour covers.

A pixel at the edge of a shape is a mix of the colours on both sides, and some mixes look like a
third colour (a red rim on yellow is orange). So colours are not decided pixel by pixel: the
smallest set of colours whose mixes with the background explain the whole picture is taken, and
every pixel is then written as a convex mix of that set (linear spectral unmixing, Keshava and
Mustard 2002, eq. 1 and 2).

All distances are in Y'CbCr (ITU-R BT.601), chroma weighted by 1.3. For the search luma is
smoothed more than chroma, because JPEG has smoothed chroma already: mixes stay mixes of equal
shares.

Where the constants come from ("moved", "plateau"): see `reader.py`. Distances between colours
follow from the vocabulary: backgrounds lie 18.6 to 84.0 apart, two colours 70.5 or more (yellow,
orange), a colour and a background 76.9 or more (purple, grey); noise of 8/255 is 10.8 away (root
mean square) and 3.6 after smoothing.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dalle2eval.scenes.vocabulary import BACKGROUNDS, COLOURS

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]


# Pixels at the picture's edge that show the background: the layouts keep 0.03 x 64 = 1.9 free.
BORDER = 2
PLAIN_SHARE = (
    0.7  # of the border must look like its median. Seen: 0.996 or more. Halved: no change.
)
# Seen: 1.8 at most to the nearest background, noise 3 x 10.8 around it; the nearest one is taken.
# Plateau.
BACKGROUND_TOLERANCE = 35.0
# From the background, after smoothing: over 5 x the smoothed noise, a quarter of 76.9. Plateau.
FOREGROUND_DISTANCE = 20.0
# By which a mix may miss a smoothed pixel: under half of 70.5, so that none is near two colours.
# Halved, 2 of 32 renders are read wrong; doubled, none.
TOLERANCE = 25.0
# A further colour must explain so many: half of the smallest object, 65.5 pixels. Plateau.
PIXELS_PER_COLOUR = 30
MAX_UNEXPLAINED = 40  # pixels; less than the smallest object, 65.5. Plateau.
MIN_COLOUR_PIXELS = 12  # unmixed ones, to measure a colour by: a fifth of 65.5. Plateau.
MAX_COLOURS = 3  # scenes have two; a model's wrong third is to be read too, and more cost more time
# The nearest palette colour is at most so far as this share of the next. Plateau.
COLOUR_MARGIN = 0.75
# Pixels. Luma doubled, 5 of 32 renders are read wrong; chroma halved, 2; otherwise no change.
LUMA_SMOOTHING, CHROMA_SMOOTHING = 1.2, 0.8
# By which a mix of more colours must come nearer: over the smoothed noise, under the raw. Plateau.
COST_OF_COLOUR = 6.0
COST_OF_MIXING = 0.25  # of a missed pixel; it only breaks ties between explanations. Plateau.
_MIXED = 0.2  # share above which a colour takes part in a mix. Plateau.
# Share of a pixel that shows its colour unmixed. Halved, rims count and 6 of 32 are read wrong.
_PURE = 0.85
_TO_OPPONENT = np.diag([1.0, 1.3, 1.3]) @ np.array(
    [[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]]
)
_PALETTE = {name: np.asarray(rgb) @ _TO_OPPONENT.T for name, rgb in COLOURS.items()}
_GROUNDS = {name: np.asarray(rgb) @ _TO_OPPONENT.T for name, rgb in BACKGROUNDS.items()}


class Unreadable(Exception):  # noqa: N818 - it is a verdict on the picture, not an error
    """The picture is not a scene that the reader knows; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What each pixel is made of.

    Attributes:
        background: name of the background's colour.
        planes: for each colour that occurs, its share of every pixel: float32 [h, w] in [0, 1].
    """

    background: str
    planes: dict[str, Plane]


def unmix(image: NDArray[np.uint8]) -> Coverage:
    """Split a picture uint8 [h, w, 3] into coverage planes.

    Raises:
        Unreadable: no plain background, a colour outside the palette, or too many colours.
    """
    pixels = image.astype(np.float32) @ _TO_OPPONENT.T.astype(np.float32)
    background, ground = _background(pixels)
    offsets = pixels - ground
    smooth = _smoothed(offsets)
    smooth = smooth[_norm(smooth) > FOREGROUND_DISTANCE]
    axes = _axes(smooth, ground)
    chosen = _explanation(smooth, axes)
    if not chosen:
        return Coverage(background, {})
    _, shares = _mix(offsets.reshape(-1, 3), axes[chosen])
    planes = np.ascontiguousarray(shares.T).reshape(-1, *image.shape[:2])
    names = tuple(_PALETTE)
    return Coverage(background, {names[k]: plane for k, plane in zip(chosen, planes, strict=True)})


def _norm(vectors: Plane) -> Plane:
    return np.sqrt(np.einsum("...c,...c->...", vectors, vectors))


def _background(pixels: Plane) -> tuple[str, Plane]:
    """Return the nearest background's name and the measured colour of the picture's border."""
    border = np.concatenate(
        [
            pixels[:BORDER].reshape(-1, 3),
            pixels[-BORDER:].reshape(-1, 3),
            pixels[BORDER:-BORDER, :BORDER].reshape(-1, 3),
            pixels[BORDER:-BORDER, -BORDER:].reshape(-1, 3),
        ]
    )
    ground = np.median(border, axis=0)
    if np.mean(_norm(border - ground) < BACKGROUND_TOLERANCE) < PLAIN_SHARE:
        raise Unreadable("no plain background at the picture's edge")
    distances = {name: float(_norm(ground - value)) for name, value in _GROUNDS.items()}
    name = min(distances, key=distances.__getitem__)
    if distances[name] > BACKGROUND_TOLERANCE:
        raise Unreadable("the background is not one of the scenes' backgrounds")
    return name, ground


def _smoothed(offsets: Plane) -> Plane:
    """Smooth luma and chroma to like sharpness in JPEG and clean pictures alike."""
    sigmas = (LUMA_SMOOTHING, CHROMA_SMOOTHING, CHROMA_SMOOTHING)
    planes = [
        ndimage.gaussian_filter(offsets[..., i], s, truncate=3.0) for i, s in enumerate(sigmas)
    ]
    return np.stack(planes, axis=-1)


def _axes(pixels: Plane, ground: Plane) -> Plane:
    """Return the palette's offsets from the ground [8, 3], as the pixels [n, 3] show them."""
    axes = np.stack([value - ground for value in _PALETTE.values()]).astype(np.float32)
    shares = np.clip(pixels @ (axes / np.einsum("kc,kc->k", axes, axes)[:, None]).T, 0, 1)
    nearest = np.stack([_norm(pixels - shares[:, [k]] * a) for k, a in enumerate(axes)]).argmin(0)
    pure = shares[np.arange(len(nearest)), nearest] > _PURE
    return np.stack([_measured(pixels[pure & (nearest == k)], axes, k) for k in range(len(axes))])


def _measured(pure: Plane, axes: Plane, index: int) -> Plane:
    """Return the colour as the picture shows it, or the palette's when it shows too little."""
    if len(pure) < MIN_COLOUR_PIXELS:
        return axes[index]
    measured = np.median(pure, axis=0)
    distances = _norm(axes - measured)
    if distances[index] > COLOUR_MARGIN * np.delete(distances, index).min():
        return axes[index]
    return measured


@functools.cache
def _subsets(number: int) -> tuple[tuple[int, ...], ...]:
    sizes = range(1, number + 1)
    return tuple(s for n in sizes for s in itertools.combinations(range(number), n))


def _mix(pixels: Plane, axes: Plane) -> tuple[Plane, Plane]:
    """Return how far the best convex mix of axes [k, 3] misses each pixel, and its shares [n, k].

    Every face of the simplex is tried, for k <= 3 is small. A larger one must be clearly better:
    green and purple mix to grey, and noise on a grey background is neither.
    """
    missed = np.full(len(pixels), np.inf, np.float32)
    shares = np.zeros((len(pixels), len(axes)), np.float32)
    for subset in _subsets(len(axes)):
        face = axes[list(subset)]
        inverse = face.T @ np.linalg.inv(face @ face.T)  # Moore-Penrose, for independent rows
        trial = np.maximum(pixels @ inverse, 0)
        trial /= np.maximum(trial.sum(axis=1, keepdims=True), 1)
        distance = _norm(pixels - trial @ face)
        better = np.flatnonzero(distance < missed - (COST_OF_COLOUR if len(subset) > 1 else 0))
        missed[better] = distance[better]
        shares[better] = 0
        shares[better[:, None], list(subset)] = trial[better]
    return missed, shares


def _explanation(pixels: Plane, axes: Plane) -> list[int]:
    """Return the fewest colours that explain the pixels [n, 3], added greedily, best first.

    Raises:
        Unreadable: even they leave too much unexplained.
    """
    chosen: list[int] = []
    now = _Trial(cost=float(len(pixels)), missed=len(pixels), misfit=float(len(pixels)))
    while now.cost > PIXELS_PER_COLOUR and len(chosen) < MAX_COLOURS:
        trials = {k: _try(pixels, axes[[*chosen, k]]) for k in range(len(axes)) if k not in chosen}
        best = min(trials, key=lambda k: trials[k].misfit)
        if now.cost - trials[best].cost < PIXELS_PER_COLOUR:
            break
        chosen.append(best)
        now = trials[best]
    if now.missed > MAX_UNEXPLAINED:
        raise Unreadable("colours outside the palette, or more than three")
    return chosen


@dataclass(frozen=True, slots=True)
class _Trial:
    """How well a set of colours explains the pixels; every measure counts pixels."""

    cost: float
    missed: int
    misfit: float


def _try(pixels: Plane, axes: Plane) -> _Trial:
    """Measure a set of colours: pixels missed beyond the tolerance, and the truncated square error.

    A pixel mixed of two colours (not of one and the background) costs too: an orange object is
    orange and not a half of red and a half of yellow, though both explain it.
    """
    distance, shares = _mix(pixels, axes)
    missed = int(np.count_nonzero(distance > TOLERANCE))
    mixed = COST_OF_MIXING * np.count_nonzero(np.count_nonzero(shares > _MIXED, axis=1) > 1)
    misfit = float(np.sum(np.minimum(distance / TOLERANCE, 1) ** 2))
    return _Trial(missed + mixed, missed, misfit + mixed)
