"""LPIPS as features: how different the images of one prompt look (Zhang et al., arXiv 1801.03924).

LPIPS(x, y) = Σ over layers of the mean over positions of w · (f(x) - f(y))², with f the channels of
AlexNet scaled to length 1. That is the squared distance |φ(x) - φ(y)|² of one vector an image,
φ = √(w / positions) f, so that k images of a prompt take k passes, not k (k - 1) / 2.

The linear weights w come with torchmetrics. The backbone is torchvision's AlexNet, which no
package carries: it is read from a file, and nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dalle2eval.metrics import within_prompt_spread
from dalle2eval.records import InputError

BACKBONE = "alexnet-owt-7be5be79.pth"  # torchvision puts the first digits of the SHA-256 into names
BACKBONE_SHA256_START = "7be5be79"
BACKBONE_SOURCE = "https://download.pytorch.org/models/"
TAPS = (1, 4, 7, 9, 11)  # the ReLUs of torchvision's AlexNet after which the layers are compared
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]
TINY = 1e-8  # under the root of a length


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lpips:
    """AlexNet's feature layers and the linear weights [c] of its five taps."""

    layers: nn.Sequential
    heads: tuple[Tensor, ...]


def load_lpips(backbone: Path) -> Lpips:
    """Read torchvision's AlexNet from a file, and the linear weights from torchmetrics.

    Raises:
        InputError: the file is not here or is another one; says which is needed, and from where.
    """
    if not backbone.is_file():
        raise InputError(
            f"{backbone}: LPIPS needs {BACKBONE} (sha256 {BACKBONE_SHA256_START}..., from "
            f"{BACKBONE_SOURCE}); without it use diversity_within_prompt"
        )
    digest = hashlib.sha256(backbone.read_bytes()).hexdigest()
    if not digest.startswith(BACKBONE_SHA256_START):
        raise InputError(
            f"{backbone}: not {BACKBONE}: its sha256 starts with {digest[:8]}, "
            f"not {BACKBONE_SHA256_START}"
        )
    layers = empty_alexnet()
    state = torch.load(backbone, map_location="cpu", weights_only=True)
    own = {name.removeprefix("features."): value for name, value in state.items()}
    layers.load_state_dict({name: own[name] for name in layers.state_dict()})
    return Lpips(layers=layers, heads=linear_heads())


def empty_alexnet() -> nn.Sequential:
    """Return AlexNet's layers up to the last tap, with random weights."""
    from torchvision.models import alexnet

    return alexnet(weights=None).features[: TAPS[-1] + 1].eval().requires_grad_(requires_grad=False)


def linear_heads() -> tuple[Tensor, ...]:
    """Return the published linear weights [c] of the five taps."""
    spec = find_spec("torchmetrics")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return tuple(state[f"lin{tap}.model.1.weight"].flatten() for tap in range(len(TAPS)))


@torch.inference_mode()
def lpips_features(images: NDArray[np.uint8], network: Lpips) -> NDArray[np.float32]:
    """Return φ [n, features] of uint8 images [n, h, w, 3]: LPIPS is their squared distance."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    x = (x - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
    parts = []
    for number, layer in enumerate(network.layers):
        x = layer(x)
        if number in TAPS:
            parts.append(_tapped(x, network.heads[TAPS.index(number)]))
    return torch.cat(parts, dim=1).numpy()


def lpips_within_prompt(
    prompts: Iterable[tuple[Hashable, NDArray[np.uint8]]], network: Lpips
) -> dict[Hashable, float]:
    """Return, per prompt with two images or more, the mean LPIPS of its pairs.

    Args:
        prompts: each prompt with its images, uint8 [k, h, w, 3]; one prompt is in memory at a time.
        network: see ``load_lpips``.
    """
    return {
        prompt: within_prompt_spread(lpips_features(images, network))
        for prompt, images in prompts
        if len(images) > 1
    }


def _tapped(x: Tensor, head: Tensor) -> Tensor:
    """Return √(w / positions) x / |x| over channels of x [n, c, h, w], flat [n, c h w]."""
    unit = x / torch.sqrt(TINY + (x * x).sum(dim=1, keepdim=True))
    positions = x.shape[2] * x.shape[3]
    return (unit * torch.sqrt(head / positions)[:, None, None]).flatten(1)
