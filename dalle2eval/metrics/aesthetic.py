"""Aesthetic score: a linear head over CLIP image features, read from a file.

The published heads (LAION-Aesthetics v1, github.com/LAION-AI/aesthetic-predictor) are such heads
over unit-length CLIP features, trained on human ratings of 1 to 10. They are published as pickles;
here they are safetensors, because nothing is ever unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dalle2eval.metrics.arrays import Floats, as_features, unit_rows
from dalle2eval.records import InputError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearHead:
    """score = weight · feature / |feature| + bias, with weight [d]."""

    weight: Floats
    bias: float


def load_aesthetic_head(path: Path) -> LinearHead:
    """Read a head from a safetensors file with tensors ``weight`` [1, d] or [d] and ``bias`` [1].

    Raises:
        InputError: there is no such file, it is no safetensors file, or a tensor is missing or
            misshapen.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None
    if set(tensors) != {"weight", "bias"} or tensors["bias"].size != 1:
        raise InputError(
            f"{path}: expected tensors weight [1, d] and bias [1], got "
            + ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(tensors.items()))
        )
    weight = tensors["weight"].astype(np.float64).squeeze()
    if weight.ndim != 1:
        raise InputError(f"{path}: weight has shape {list(tensors['weight'].shape)}, not [1, d]")
    return LinearHead(weight=weight, bias=float(tensors["bias"].item()))


def aesthetic_score(image_features: ArrayLike, head: LinearHead) -> Floats:
    """Return the head's rating of each image, [n]; usual heads give about 1 to 10, 10 is best.

    Args:
        image_features: [n, d] of the CLIP that the head was trained on.
        head: see ``load_aesthetic_head``.

    Raises:
        InputError: the widths differ, or a row is all zeros or not finite.
    """
    images = as_features(image_features, "image features")
    if images.shape[1] != len(head.weight):
        raise InputError(
            f"the aesthetic head reads {len(head.weight)} features, the images have "
            f"{images.shape[1]}"
        )
    return np.asarray(unit_rows(images, "image features") @ head.weight + head.bias)
