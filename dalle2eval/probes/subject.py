"""The model of a probe with its own procedure: what it can do, and every stage's work kept.

A stage's work on 16 (prompt, seed) pairs is kept in the store under all that decides it, so a probe
that was killed goes on where it was, and a second probe of the same model finds what the first one
drew. The noise of a picture comes from its prompt id and seed alone, as in a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dalle2eval.models.one_stage import ChecksSamples
from dalle2eval.protocols import NoiseKey, SeesPictures, Stage, TextToImage
from dalle2eval.records import InputError, Prompt, SampleKey, fingerprint
from dalle2eval.store import Store

SHARD = 16
SMALL = 64  # pixels: what the scene reader and the judge look at
Images = NDArray[np.uint8]
Vectors = NDArray[np.float32]


def pairs(prompts: Sequence[Prompt], seeds: Sequence[int]) -> tuple[list[Prompt], list[SampleKey]]:
    """Return every prompt with every seed, prompts in order."""
    every = [(prompt, seed) for prompt in prompts for seed in seeds]
    keys = [SampleKey(prompt_id=prompt.id, seed=seed) for prompt, seed in every]
    return [prompt for prompt, _ in every], keys


class Subject:
    """A model with the settings that it is probed at.

    Args:
        model: any text-to-image model.
        settings: changes to its defaults.
        store: keeps every stage's work; None keeps nothing.

    Raises:
        ValueError: a setting is unknown or out of its range.
    """

    def __init__(
        self,
        model: TextToImage,
        settings: Mapping[str, Any] | None = None,
        *,
        store: Store | None = None,
    ) -> None:
        self.model, self.store = model, store
        self.changes = dict(settings or {})
        self.settings = model.resolve_settings(self.changes)

    @property
    def has_prior(self) -> bool:
        """Say whether the chain begins with a stage of vectors, which the next stage draws from."""
        chain = self._chain(SMALL)
        return len(chain) > 1 and chain[0].image_size is None

    @property
    def sees_pictures(self) -> bool:
        """Say whether the model has an image encoder of its own."""
        return isinstance(self.model, SeesPictures) and self.model.sees_pictures

    def has_setting(self, name: str) -> bool:
        """Say whether the model has a setting of this name."""
        return name in self.settings

    def size_up_to(self, largest: int) -> int:
        """Return the largest side, of 64, 256 and 1024 up to ``largest``, that the model draws.

        Raises:
            ValueError: it draws none of them.
        """
        for size in (1024, 256, SMALL):
            if size <= largest:
                try:
                    self._chain(size)
                except ValueError:
                    if size == SMALL:
                        raise
                else:
                    return size
        raise InputError(f"no size up to {largest} px; the smallest is {SMALL}")

    def draw(
        self,
        prompts: Sequence[Prompt],
        keys: Sequence[SampleKey],
        *,
        size: int = SMALL,
        **changes: Any,
    ) -> Images:
        """Return pictures uint8 [n, size, size, 3], one for each prompt and key."""
        return self._run(self._chain(size, **changes), [p.text for p in prompts], keys, None)

    def predict(self, texts: Sequence[str], keys: Sequence[SampleKey]) -> Vectors:
        """Return what the chain's first stage makes of captions: z_i [n, d], not normalised."""
        rows = self._run(self._chain(SMALL)[:1], texts, keys, None)
        return cast("Vectors", rows.astype(np.float32))

    def decode(
        self,
        z_i: Vectors,
        keys: Sequence[SampleKey],
        *,
        texts: Sequence[str] | None = None,
        size: int = SMALL,
    ) -> Images:
        """Return pictures drawn from z_i [n, d]; without texts the decoder gets no caption."""
        texts = [""] * len(z_i) if texts is None else texts
        return self._run(self._chain(size)[1:], texts, keys, z_i)

    def see(self, images: Images) -> Vectors:
        """Return the model's own z_i [n, d], unit length, of pictures uint8 [n, h, w, 3]."""
        return unit(cast("SeesPictures", self.model).encode_images(images))

    def read(self, texts: Sequence[str]) -> Vectors:
        """Return the model's own z_t [n, d], unit length."""
        return unit(cast("SeesPictures", self.model).encode_texts(texts))

    def _chain(self, size: int, **changes: Any) -> list[Stage]:
        settings = self.settings
        if changes:
            settings = self.model.resolve_settings({**self.changes, **changes})
        return list(self.model.plan_stages(settings, size))

    def _run(
        self,
        chain: Sequence[Stage],
        texts: Sequence[str],
        keys: Sequence[SampleKey],
        previous: NDArray[Any] | None,
    ) -> NDArray[Any]:
        noise_keys = [(key.prompt_id, key.seed) for key in keys]
        if isinstance(self.model, ChecksSamples):
            for stage in chain:
                self.model.check_samples(stage, list(texts), noise_keys)
        parts = []
        for start in range(0, len(texts), SHARD):
            cut = slice(start, start + SHARD)
            value = None if previous is None else previous[cut]
            for stage in chain:
                value = self._stage(stage, list(texts[cut]), noise_keys[cut], value)
            parts.append(value)
        return np.concatenate(cast("list[NDArray[Any]]", parts))

    def _stage(
        self,
        stage: Stage,
        texts: Sequence[str],
        noise_keys: Sequence[NoiseKey],
        previous: NDArray[Any] | None,
    ) -> NDArray[Any]:
        """Return a stage's work on one shard: from the store, or made and kept."""
        if self.store is None:
            return self.model.run_stage(stage, texts, noise_keys, previous)
        address = _address(stage, texts, noise_keys, previous)
        kind = "array" if stage.image_size is None else "images"
        found = self.store.load(address, kind)
        if found is None:
            found = self.model.run_stage(stage, texts, noise_keys, previous)
            self.store.save(address, kind, found, made_of={"stage": f"probe {stage.name}"})
        return cast("NDArray[Any]", found)


def _address(
    stage: Stage,
    texts: Sequence[str],
    noise_keys: Sequence[NoiseKey],
    previous: NDArray[Any] | None,
) -> str:
    given = None
    if previous is not None:
        content = hashlib.sha256(np.ascontiguousarray(previous).tobytes()).hexdigest()
        given = [content, list(previous.shape), str(previous.dtype)]
    return fingerprint(
        {
            "probe-stage": stage.name,
            "version": stage.version,
            "settings": dict(stage.settings),
            "weights": stage.weights,
            "prompts": list(texts),
            "noise_keys": [list(key) for key in noise_keys],
            "given": given,
        }
    )


def unit(rows: NDArray[Any]) -> Vectors:
    """Return rows [n, d] at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return cast("Vectors", (rows / np.maximum(lengths, 1e-12)).astype(np.float32))
