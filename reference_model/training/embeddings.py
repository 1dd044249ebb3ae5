"""What a prior is trained on: embeddings of many captioned images, made once, kept by address."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_model.clip import Clip, to_model_range
from reference_model.training.data import CaptionedImages
from reference_model.training.processes import rank, wait_for_all

IMAGES_AT_ONCE, TEXTS_AT_ONCE = 256, 512  # fixed: other batches round differently
SPELL_PROBABILITY = 0.15
VERSION = 1  # raised whenever equal inputs would give other embeddings


class ArrayStore(Protocol):
    """Keeps arrays by address; whoever starts a training hands one in, or none."""

    def load(self, address: str, kind: Any) -> NDArray[Any] | None:
        """Return what was kept, or None when it is absent or damaged."""

    def save(self, address: str, kind: Any, value: Any, *, made_of: Mapping[str, Any]) -> None:
        """Keep a value under its address."""


class Cache(NamedTuple):
    """Where embeddings are kept, and a hash of all that decides which images are drawn."""

    store: ArrayStore
    data: str


class EmbeddedCaptions(NamedTuple):
    """Embeddings and token ids of captioned images: a prior needs no pixels.

    The text states are left out: they would take a hundred times the room, and come with one pass
    of CLIP's small text tower over the tokens of a batch.

    Attributes:
        z_i, z_t: [n, d], unit length.
        tokens: [n, l].
    """

    z_i: Tensor
    z_t: Tensor
    tokens: Tensor


def embed(clip: Clip, data: CaptionedImages, n: int) -> EmbeddedCaptions:
    """Return the embeddings of the first n samples."""
    z_i, tokens = [], []
    with torch.no_grad():
        for start in range(0, n, IMAGES_AT_ONCE):
            batch = data.batch(start, min(IMAGES_AT_ONCE, n - start), clip.config.image_size)
            z_i.append(clip.encode_images(to_model_range(batch.images, clip.device)).float())
            spelled = clip.tokenizer(
                batch.captions, spell_probability=SPELL_PROBABILITY, seed=start
            )
            tokens.append(spelled.to(clip.device))
        all_tokens = torch.cat(tokens)
        z_t = [clip.encode_tokens(part).z_t.float() for part in all_tokens.split(TEXTS_AT_ONCE)]
    return EmbeddedCaptions(torch.cat(z_i), torch.cat(z_t), all_tokens)


def embedded(
    clip: Clip, data: CaptionedImages, n: int, *, cache: Cache | None, made_of: Mapping[str, Any]
) -> EmbeddedCaptions:
    """Return the embeddings of the first n samples, from the cache where it has them.

    Several processes share the work of one.

    Args:
        clip: embeds.
        data: to draw from.
        n: number of samples.
        cache: where they are kept; None to make them each time.
        made_of: identities of the CLIP and of the stream of data.
    """
    if cache is None:
        return embed(clip, data, n)
    decisive = {
        **made_of,
        "data": cache.data,
        "n": n,
        "device": clip.device.type,
        "torch": torch.__version__,
        "version": VERSION,
    }
    if rank() == 0 and _load(cache.store, decisive) is None:
        made = embed(clip, data, n)
        for name, value in made._asdict().items():
            address = _address(decisive, name)
            cache.store.save(address, "array", value.cpu().numpy(), made_of=decisive)
    wait_for_all()
    found = _load(cache.store, decisive)
    if found is None:
        raise OSError("embeddings that were just kept cannot be read")
    return EmbeddedCaptions(*(torch.from_numpy(value).to(clip.device) for value in found))


def _load(store: ArrayStore, decisive: Mapping[str, Any]) -> list[NDArray[Any]] | None:
    """Return the arrays, or None unless all of them are there and whole."""
    found = [store.load(_address(decisive, name), "array") for name in EmbeddedCaptions._fields]
    whole = [np.asarray(value) for value in found if value is not None]
    return whole if len(whole) == len(found) else None


def _address(decisive: Mapping[str, Any], name: str) -> str:
    text = json.dumps({**decisive, "array": name}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
