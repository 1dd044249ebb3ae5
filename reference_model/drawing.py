"""What each stage of the stack does with its networks, once it is planned."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from reference_model import stages as planning
from reference_model.clip import to_model_range, to_uint8
from reference_model.companions import PCA_PART
from reference_model.diffusion.noise import NoiseKey
from reference_model.guiding import sampler_of, steering_of
from reference_model.manifest import Manifest
from reference_model.reranking import best_of
from reference_model.settings import unsaid
from reference_model.stages import Stage
from reference_model.timesteps import Steps, shifted


class Networks(Protocol):
    """What a stage asks of its stack."""

    manifest: Manifest

    @property
    def device(self) -> str:
        """Where the networks run."""

    def network(self, part: str) -> Any:
        """Return a part's network."""


def conditioning(
    stack: Networks, stage: Stage, prompts: Sequence[str], noise_keys: Sequence[NoiseKey]
) -> NDArray[np.float32]:
    """Return z_i (or z_t in its place, or zeros) float32 [n, d]."""
    kind = stage.settings["conditioning"]
    if kind == "caption":
        return np.zeros((len(prompts), stack.manifest.part("decoder").config["z_dim"]), np.float32)
    if kind == "text-embedding":
        return stack.network("clip").encode_text(prompts).z_t.float().cpu().numpy()
    part = planning.prior_part(stage.settings)
    z_i = stack.network(part).sample(
        _texts(stack, prompts),
        noise_keys,
        guidance_scale=stage.settings["prior_guidance_scale"],
        candidates=stage.settings["prior_candidates"],
        **_how(stack, stage, part),
    )
    return z_i.float().cpu().numpy()


def _how(stack: Networks, stage: Stage, part: str) -> dict[str, Any]:
    """Return the settings that only this kind of prior has."""
    if stage.settings["prior"] == "ar":
        return {"best_share": stage.settings["prior_best_share"]}
    sampler = sampler_of("prior", part, functools.partial(_setting, stack, stage), stack.network)
    return {"steps": stage.settings["prior_steps"], "sampler": sampler}


def _texts(stack: Networks, prompts: Sequence[str]) -> Any:
    """Encode captions as the networks of these weights read them."""
    clip = stack.network("clip")
    if stack.manifest.part("clip").kind == "karlo-text":
        return clip.encode_pair(prompts)
    return tuple(clip.encode_text(prompts))


def decoded(
    stack: Networks,
    stage: Stage,
    prompts: Sequence[str],
    noise_keys: Sequence[NoiseKey],
    z_i: NDArray[Any],
) -> NDArray[np.uint8]:
    """Return the smallest pictures uint8 [n, h, w, 3]."""
    setting = functools.partial(_setting, stack, stage)
    part = planning.decoder_part({"decoder": setting("decoder")})
    decoder = stack.network(part)
    draw = functools.partial(
        decoder.sample,
        *_conditions(stack, stage, part, _read(prompts, setting("decoder_caption")), z_i),
        steps=_steps(stack, stage, decoder),
        guidance_scale=stage.settings["guidance_scale"],
        sampler=sampler_of("decoder", part, setting, stack.network),
        eta=stage.settings["decoder_eta"],
        steering=steering_of(setting, stack.network, prompts, part),
    )
    candidates = setting("decoder_candidates")
    if candidates == 1:
        return to_uint8(draw(noise_keys))
    clip = stack.network("clip")
    z_t = clip.encode_text(prompts).z_t
    return to_uint8(best_of(candidates, draw, clip.encode_images, z_t, noise_keys))


def _read(prompts: Sequence[str], caption: str) -> Sequence[str]:
    """Return what the decoder reads: the captions, or nothing."""
    return prompts if caption == "read" else [""] * len(prompts)


def _conditions(
    stack: Networks, stage: Stage, part: str, prompts: Sequence[str], z_i: NDArray[Any]
) -> tuple[Any, ...]:
    """Return what this kind of decoder is conditioned on, in its own order."""
    described = stack.manifest.part(part)
    if described.kind == "imagen":
        return (stack.network(described.config["text_encoder"]).encode_text(prompts),)
    given = None if stage.settings["null_z"] else torch.from_numpy(z_i).to(stack.device)
    kept = _setting(stack, stage, "z_components")
    if given is not None and kept:
        given = stack.network(PCA_PART).rebuilt(given, kept)
    return given, _texts(stack, prompts) if described.kind == "karlo-decoder" else prompts


def _steps(stack: Networks, stage: Stage, decoder: Any) -> Steps:
    """Return the decoder's number of steps, or the timesteps where they are shifted."""
    if _setting(stack, stage, "decoder_sampler") == "heun":  # it has noise levels of its own
        return stage.settings["decoder_steps"]
    steps, shift = stage.settings["decoder_steps"], _setting(stack, stage, "decoder_shift")
    return steps if shift == 1 else shifted(decoder.schedule.num_timesteps, steps, shift)


def _setting(stack: Networks, stage: Stage, name: str) -> Any:
    """Return a setting that the stage names only where it is not at its default."""
    return stage.settings.get(name, unsaid(stack.manifest)[name])


def upsampled(
    stack: Networks, stage: Stage, noise_keys: Sequence[NoiseKey], low: NDArray[Any]
) -> NDArray[np.uint8]:
    """Return the larger pictures uint8 [n, h, w, 3] of smaller ones."""
    network = stage.settings.get("network", "adm")
    upsampler = stack.network(planning.upsampler_part(stage.name, network))
    # One picture at a time above 256 px: a batch of 1024 px pictures would not fit small machines.
    step = len(low) if stage.image_size <= 256 else 1  # noqa: PLR2004
    made = [
        upsampler.sample(
            to_model_range(low[k : k + step], stack.device),
            noise_keys[k : k + step],
            steps=stage.settings["steps"],
            stage=stage.name,
        )
        for k in range(0, len(low), step)
    ]
    return np.concatenate([to_uint8(pictures) for pictures in made])
