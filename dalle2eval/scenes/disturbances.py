"""What a picture may go through before it is judged: JPEG, sensor-like noise, slight blur.

The reader's accuracy is stated for each of them (`selftest.py`, `benchmarks/scenes.py`). All have
one signature; only noise needs its seed.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]

JPEG_QUALITY = 75
NOISE_SIGMA = 8.0  # of 255
BLUR_SIGMA = 0.7  # pixels


def jpeg(image: Pixels, seed: int = 0) -> Pixels:
    """Compress and decompress at quality 75, chroma halved (4:2:0)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(buffer).convert("RGB"))


def noise(image: Pixels, seed: int = 0) -> Pixels:
    """Add gaussian noise of 8/255 to every channel, independently."""
    rng = np.random.Generator(np.random.PCG64(seed))
    noisy = image + rng.normal(0.0, NOISE_SIGMA, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def blur(image: Pixels, seed: int = 0) -> Pixels:
    """Blur by a gaussian of 0.7 pixels."""
    smooth = ndimage.gaussian_filter(image.astype(np.float32), (BLUR_SIGMA, BLUR_SIGMA, 0))
    return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)


def clean(image: Pixels, seed: int = 0) -> Pixels:
    """Leave the picture as it is."""
    return image


DISTURBANCES: dict[str, Callable[[Pixels, int], Pixels]] = {
    "clean": clean,
    "jpeg": jpeg,
    "noise": noise,
    "blur": blur,
}
