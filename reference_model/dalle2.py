"""The stack: caption to z_i to 64 px to 256 px to 1024 px, in stages that can be run one by one.

Each stage is a pure function of its settings, its weights, the prompts, the noise keys and the
stage before; networks are loaded when a stage first runs, so that planning needs no torch.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference_model import stages as planning
from reference_model.classes import labels_of
from reference_model.loading import load_network
from reference_model.manifest import Manifest, read_manifest, verify_release
from reference_model.settings import defaults_of, resolve
from reference_model.stages import Stage

if TYPE_CHECKING:
    from torch import nn


UPSAMPLERS = ("upsampler_256", "upsampler_1024")
BATCH = 16  # pictures at once in `generate`; larger batches only cost memory on a CPU


def load(name: str | Path = "scenes", *, device: str = "auto") -> DALLE2:
    """Load a stack by the name of its weights, or from a folder of weights.

    Args:
        name: such as ``scenes`` (bundled, trained) or ``tiny`` (random, for tests).
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        CheckpointError: no such weights, they are damaged, or a bundled manifest was edited.
    """
    verify_release(str(name))
    return DALLE2(read_manifest(name), device=device)


class DALLE2:
    """A text-to-image stack over one set of weights."""

    def __init__(self, manifest: Manifest, *, device: str = "auto") -> None:
        self.manifest = manifest
        self._device = device

    @property
    def name(self) -> str:
        """Name of the weights."""
        return self.manifest.name

    @property
    def weights(self) -> str:
        """SHA-256 over the identities of all parts."""
        joined = "".join(f"{k}:{p.identity};" for k, p in sorted(self.manifest.parts.items()))
        return hashlib.sha256(joined.encode()).hexdigest()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides in pixels of the pictures that each stage makes, smallest first."""
        decoder = self.manifest.part("decoder").config["image_size"]
        present = [u for u in UPSAMPLERS if u.replace("_", "-") in self.manifest.parts]
        return (
            decoder,
            *(self.manifest.part(u.replace("_", "-")).config["high_size"] for u in present),
        )

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ValueError names what is allowed."""
        return resolve(changes, defaults_of(self.manifest))

    def plan_stages(self, settings: Mapping[str, Any], size: int | None = None) -> list[Stage]:
        """Return the chain of stages to pictures of ``size`` pixels (the smallest when None).

        Raises:
            ValueError: this stack makes no pictures of that size, or the settings contradict each
                other or ask for what these weights cannot do.
        """
        sizes = self.sizes
        size = sizes[0] if size is None else size
        if size not in sizes:
            raise ValueError(f"size is {size}; {self.name} makes {', '.join(map(str, sizes))}")
        stages = [
            planning.conditioning_stage(self.manifest, settings),
            planning.decoder_stage(self.manifest, settings),
        ]
        above = UPSAMPLERS[: sizes.index(size)]
        return stages + [planning.upsampler_stage(self.manifest, name, settings) for name in above]

    def check_samples(
        self, stage: Stage, prompts: Sequence[str], noise_keys: Sequence[tuple[str, int]]
    ) -> None:
        """Raise ValueError where a stage is known not to be able to draw one of these prompts."""
        if stage.settings.get("classifier_guidance_scale"):
            labels_of(prompts, self.manifest.part("classifier").config["classes"])

    def run_stage(
        self,
        stage: Stage,
        prompts: Sequence[str],
        noise_keys: Sequence[tuple[str, int]],
        previous: NDArray[Any] | None,
    ) -> NDArray[Any]:
        """Run one stage on a batch.

        Args:
            stage: from `plan_stages`.
            prompts: captions.
            noise_keys: (prompt id, seed) of each picture.
            previous: what the stage before returned; None for the first.

        Returns:
            float32 [n, d] embeddings, or uint8 [n, h, w, 3] pictures.
        """
        import torch

        from reference_model import drawing

        with torch.inference_mode():
            if stage.name == "conditioning":
                return drawing.conditioning(self, stage, prompts, noise_keys)
            if previous is None:
                raise ValueError(f"stage {stage.name} needs what the stage before it returned")
            if stage.name == "decoder":
                return drawing.decoded(self, stage, prompts, noise_keys, previous)
            return drawing.upsampled(self, stage, noise_keys, previous)

    @property
    def sees_pictures(self) -> bool:
        """Say whether these weights have an image encoder (Karlo's have only the text side)."""
        return self.manifest.part("clip").kind == "clip"

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return z_i [n, d], unit length, of pictures uint8 [n, h, w, 3]."""
        import torch

        from reference_model.clip import to_model_range

        clip = self.network("clip")
        with torch.inference_mode():
            shards = (images[k : k + BATCH] for k in range(0, len(images), BATCH))
            rows = [clip.encode_images(to_model_range(part, self.device)) for part in shards]
            return torch.cat(rows).float().cpu().numpy()

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return z_t [n, d], unit length, in the space of z_i."""
        import torch

        with torch.inference_mode():
            return self.network("clip").encode_text(list(texts)).z_t.float().cpu().numpy()

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        size: int | None = None,
        **settings: Any,
    ) -> NDArray[np.uint8]:
        """Draw pictures, one for each (prompt, seed) pair; a single seed serves all prompts.

        Args:
            prompts: captions.
            seeds: as many as prompts, or one.
            size: 64, 256 or 1024 for the scenes stack; its smallest when None.
            settings: knobs by name, see `reference_model.settings.SETTINGS`.

        Returns:
            uint8 [n, size, size, 3].

        Raises:
            ValueError: a setting or size is not allowed, or prompts and seeds do not pair up.
        """
        if isinstance(prompts, str):
            raise ValueError(f"prompts is the text {prompts[:40]!r}; give a list of texts")
        prompts, seeds = list(prompts), list(seeds)
        seeds = seeds * len(prompts) if len(seeds) == 1 else seeds
        if len(prompts) != len(seeds) or not prompts:
            raise ValueError(f"{len(prompts)} prompts with {len(seeds)} seeds; give one seed each")
        stages = self.plan_stages(self.resolve_settings(settings), size)
        for stage in stages:
            self.check_samples(stage, prompts, list(zip(prompts, seeds, strict=True)))
        shards = [slice(k, k + BATCH) for k in range(0, len(prompts), BATCH)]
        return np.concatenate([self._chain(stages, prompts[s], seeds[s]) for s in shards])

    def _chain(
        self, stages: Sequence[Stage], prompts: list[str], seeds: list[int]
    ) -> NDArray[np.uint8]:
        keys = list(zip(prompts, seeds, strict=True))
        values: NDArray[Any] | None = None
        for stage in stages:
            values = self.run_stage(stage, prompts, keys, values)
        return values

    @functools.cached_property
    def device(self) -> str:
        """Return where the networks run."""
        import torch

        if self._device != "auto":
            return self._device
        return "cuda" if torch.cuda.is_available() else "cpu"

    @functools.cached_property
    def _networks(self) -> dict[str, nn.Module]:
        return {}

    def share(self, other: DALLE2, *, besides: str) -> None:
        """Take over the networks that another stack has loaded, but for one part."""
        kept = {part: network for part, network in other._networks.items() if part != besides}
        self._networks.update(kept)

    def network(self, part: str) -> Any:
        """Return a part's network, loading it on first use."""
        import torch

        if part not in self._networks:
            # Weights made under inference mode could never be trained or changed afterwards.
            with torch.inference_mode(mode=False):
                self._networks[part] = load_network(self.manifest, part, device=self.device)
        return self._networks[part]
