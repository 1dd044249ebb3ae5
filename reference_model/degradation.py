"""BSR degradation of an upsampler's conditioning (paper §2.1, second upsampler).

Zhang et al. 2021 (BSRGAN, arXiv 2103.14006) and its lighter form of Rombach et al. 2022 (arXiv
2112.10752, App. D.6.1): blur, resizing, noise and JPEG in random order and strength, so that the
upsampler learns not to trust the flaws of what it enlarges. The picture keeps its size.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Step = Callable[[Picture, np.random.Generator], Picture]

BLUR_SIGMA = (0.1, 2.0)  # pixels, of each axis
RESIZE_SHARE = (0.5, 1.0)  # of the side
NOISE_STD = (1.0, 12.0)  # in 255ths
JPEG_QUALITY = (40, 95)
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX)


def degrade(picture: Picture, seed: int) -> Picture:
    """Return a degraded picture uint8 [h, w, 3]; equal seeds degrade equally.

    Blur, resizing and noise come in random order, JPEG last, as in both papers.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    steps: list[Step] = [blur, resize, add_noise]
    for index in rng.permutation(len(steps)):
        picture = steps[index](picture, rng)
    return compress(picture, rng)


def blur(picture: Picture, rng: np.random.Generator) -> Picture:
    """Blur by an anisotropic gaussian: a deviation for each axis, turned by a random angle."""
    sigma_1, sigma_2 = rng.uniform(*BLUR_SIGMA, size=2)
    kernel = gaussian_kernel(sigma_1, sigma_2, rng.uniform(0, np.pi))
    reach = len(kernel) // 2
    padded = np.pad(picture.astype(np.float32), ((reach, reach), (reach, reach), (0, 0)), "edge")
    h, w, _ = picture.shape
    total = np.zeros(picture.shape, np.float32)
    for row, weights in enumerate(kernel):
        for column, weight in enumerate(weights):
            total += weight * padded[row : row + h, column : column + w]
    return _to_uint8(total)


def gaussian_kernel(sigma_1: float, sigma_2: float, angle: float) -> NDArray[np.float32]:
    """Return a turned gaussian [k, k] of sum 1 that reaches two deviations."""
    reach = int(np.ceil(2 * max(sigma_1, sigma_2)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((along / sigma_1) ** 2 + (across / sigma_2) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


def resize(picture: Picture, rng: np.random.Generator) -> Picture:
    """Shrink by a random share and enlarge again, each with a random filter."""
    h, w, _ = picture.shape
    share = rng.uniform(*RESIZE_SHARE)
    small = (max(round(w * share), 1), max(round(h * share), 1))
    down, up = (FILTERS[index] for index in rng.integers(len(FILTERS), size=2))
    return np.asarray(Image.fromarray(picture).resize(small, down).resize((w, h), up))


def add_noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """Add gaussian noise, half of the time the same in all channels."""
    h, w, c = picture.shape
    channels = 1 if rng.random() < 0.5 else c  # noqa: PLR2004
    return _to_uint8(picture + rng.uniform(*NOISE_STD) * rng.standard_normal((h, w, channels)))


def compress(picture: Picture, rng: np.random.Generator) -> Picture:
    """Write and read the picture as JPEG of random quality."""
    buffer = io.BytesIO()
    quality = int(rng.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1))
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _to_uint8(values: NDArray[np.floating]) -> Picture:
    return values.round().clip(0, 255).astype(np.uint8)
