"""Any CLIP that open_clip knows, with its own preprocessing and tokenizer, never from a hub.

    clip:MODEL/TAG    a published pair such as ViT-B-32/laion2b_s34b_b79k, its file added before
    clip:MODEL=FILE   a local checkpoint of an architecture of open_clip
    clip:FOLDER       a folder with open_clip_config.json and the weights, as open_clip saves it

Preprocessing is what open_clip returns with the model (Pillow, on the CPU), so that a CLIP score is
the same as by open_clip called by hand.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.features.extractor import Image
from dalle2eval.features.weight_files import (
    MissingWeightsError,
    check_kind,
    file_hash,
    weights_folder,
    without,
)
from dalle2eval.records import InputError, fingerprint
from dalle2eval.spelling import nearest
from dalle2eval.store import copy_atomic

PREFIX = "clip:"
CONFIG = "open_clip_config.json"
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
TEXTS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSource:
    """Where a CLIP's architecture and weights come from.

    Attributes:
        model: name of the architecture, or ``local-dir:`` and a folder.
        checkpoint: file of the weights; None when they lie in the folder.
        tag: open_clip's name of published weights, which sets their preprocessing.
        weights: SHA-256 of all that is read.
    """

    model: str
    checkpoint: Path | None
    tag: str | None
    weights: str


def locate_clip(name: str) -> ClipSource:
    """Return where the CLIP of a name such as ``clip:ViT-B-32/openai`` comes from.

    Raises:
        MissingWeightsError: its file was not added.
        InputError: no such model, tag, file or folder.
    """
    told = name.removeprefix(PREFIX)
    if (Path(told) / CONFIG).is_file():
        return _from_folder(Path(told))
    model, equals, file = told.partition("=")
    if equals:
        checkpoint = Path(file)
        check_kind(checkpoint)
        return ClipSource(
            model=model, checkpoint=checkpoint, tag=None, weights=file_hash(checkpoint)
        )
    if _looks_like_a_folder(told) and not Path(told).exists():
        raise InputError(f'"{name}": no such folder; clip:FOLDER holds {CONFIG} and the weights')
    model, slash, tag = told.partition("/")
    if not slash or Path(told).is_dir() or Path(told).suffix in SUFFIXES:
        raise InputError(
            f'"{name}": expected clip:MODEL/TAG, clip:MODEL=FILE, or clip:FOLDER with {CONFIG}'
        )
    for suffix in SUFFIXES:
        path = _place(model, tag, suffix)
        if path.is_file():
            check_kind(path)
            return ClipSource(model=model, checkpoint=path, tag=tag, weights=file_hash(path))
    _check_published(model, tag)
    raise MissingWeightsError(
        f"{name} needs its weights (open_clip publishes no hash of them): `dalle2eval weights add "
        f"{name} FILE` keeps a .safetensors, .bin or .pt in {_place(model, tag, '').parent}",
        [without("clip")],
    )


def _looks_like_a_folder(told: str) -> bool:
    """Say whether a name can be no MODEL/TAG: it starts like a path or has another slash."""
    return told.startswith((".", "~", "/")) or told.endswith("/") or told.count("/") > 1


def add_clip(name: str, file: str | Path) -> Path:
    """Keep the file of a published pair ``clip:MODEL/TAG`` in the user's cache; return its place.

    Raises:
        InputError: open_clip knows no such pair, there is no such file, or it holds no weights.
    """
    model, _, tag = name.removeprefix(PREFIX).partition("/")
    path = Path(file)
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: expected {', '.join(SUFFIXES)}")
    _check_published(model, tag)
    check_kind(path)
    place = _place(model, tag, path.suffix)
    copy_atomic(path, place)
    return place


def _place(model: str, tag: str, suffix: str) -> Path:
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in f"{model}@{tag}")
    return weights_folder() / "clip" / f"{safe}{suffix}"


def _from_folder(folder: Path) -> ClipSource:
    checkpoints = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    for path in checkpoints:
        check_kind(path)
    files = [folder / CONFIG, *checkpoints]
    weights = fingerprint([[path.name, file_hash(path)] for path in files])
    return ClipSource(model=f"local-dir:{folder}", checkpoint=None, tag=None, weights=weights)


def _check_published(model: str, tag: str) -> None:
    import open_clip

    asked = f"clip:{model}/{tag}"
    known = [f"clip:{m}/{t}" for m, t in open_clip.list_pretrained()]
    if asked not in known:
        raise InputError(f'open_clip knows no "{asked}"{nearest(asked, known)}')


class OpenClipExtractor:
    """A CLIP by open_clip: image features before normalisation, texts at unit length."""

    family = "clip"

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        self.name = name
        self._source = locate_clip(name)
        self.weights = self._source.weights
        self.preprocessing = f"open_clip's own of {self._source.model} {self._source.tag or ''}, 1"
        self._device, self._alone = device, threading.Lock()

    def prepare(self, image: Image) -> Any:
        """Return the network's input [3, h, w]."""
        from PIL import Image as Pillow

        with self._alone:
            preprocess = self._parts[1]
        return preprocess(Pillow.fromarray(image))

    def embed(self, prepared: Sequence[Any]) -> NDArray[np.float32]:
        """Return features [n, d]."""
        import torch

        model = self._parts[0]
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            features = model.encode_image(torch.stack(list(prepared)).to(self._device))
            return np.asarray(features.float().cpu().numpy())

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length text features [n, d]; long texts are cut as open_clip cuts them."""
        import torch

        model, _, tokenize = self._parts
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            parts = [
                model.encode_text(
                    tokenize(list(texts[k : k + TEXTS_AT_ONCE])).to(self._device), normalize=True
                )
                for k in range(0, len(texts), TEXTS_AT_ONCE)
            ]
            return np.asarray(torch.cat(parts).float().cpu().numpy())

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        """Return the model, its preprocessing and its tokenizer."""
        import open_clip

        source = self._source
        try:
            with offline():
                model, _, preprocess = open_clip.create_model_and_transforms(
                    source.model,
                    pretrained=None if source.checkpoint is None else str(source.checkpoint),
                    device=self._device,
                    precision="fp32",
                    weights_only=True,
                    **_published_settings(source),
                )
                tokenize = open_clip.get_tokenizer(source.model)
        except Exception as error:
            why = " ".join(str(error).split())[:200]
            raise InputError(f"{self.name}: open_clip cannot load it ({why})") from None
        return model.eval(), preprocess, tokenize


def _published_settings(source: ClipSource) -> dict[str, Any]:
    """Return what open_clip itself would set for published weights that it finds by their tag."""
    import open_clip

    if source.tag is None:
        return {}
    told = open_clip.get_pretrained_cfg(source.model, source.tag)
    names = {"mean": "image_mean", "std": "image_std", "interpolation": "image_interpolation"}
    names |= {"resize_mode": "image_resize_mode", "quick_gelu": "force_quick_gelu"}
    return {ours: told[theirs] for theirs, ours in names.items() if theirs in told}


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep the hub's client from the network, whatever a configuration asks for."""
    import huggingface_hub.constants as hub

    before = hub.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE")
    hub.HF_HUB_OFFLINE = True
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before[0]
        if before[1] is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before[1]
