"""The stages that an arm's settings make, each with only what changes its output.

Torch-free: a plan needs addresses, not networks. A stage names the settings that it had when the
first artefacts were kept always, and later ones only where they are not at their default, so that
what lies in a store keeps its address when a setting is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reference_model import companions
from reference_model.manifest import Manifest, Part
from reference_model.settings import ends, unsaid
from reference_model.timesteps import shifted

STAGE_VERSION = 3  # raised whenever a stage's output changes for the same settings and weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the stack as planned for one arm; see `dalle2eval.protocols.Stage`."""

    name: str
    settings: dict[str, Any]
    weights: str
    forward_passes: int
    seconds_per_image: float
    image_size: int | None
    version: int = STAGE_VERSION


def conditioning_stage(manifest: Manifest, settings: Mapping[str, Any]) -> Stage:
    """Return the stage that makes z_i (or z_t in its place, or nothing).

    Raises:
        ValueError: more steps are asked for than the prior has timesteps.
    """
    # Without z_i there is nothing to make; the other decoders read the caption themselves.
    kind = settings["conditioning"] if settings["decoder"] == "unclip" else "caption"
    clip = manifest.part("clip").identity
    if kind != "prior":
        return Stage(
            name="conditioning",
            settings={"conditioning": kind},
            weights=clip if kind == "text-embedding" else "",
            forward_passes=1 if kind == "text-embedding" else 0,
            seconds_per_image=0.001,
            image_size=None,
        )
    if settings["prior"] == "ar":
        return _autoregressive_stage(manifest, settings, clip)
    name = prior_part(settings)
    part = manifest.part(name)
    used = ("conditioning", "prior", "prior_steps", "prior_guidance_scale", "prior_candidates")
    calls = _network_calls("prior", settings, part) * settings["prior_candidates"]
    return Stage(
        name="conditioning",
        settings={name: settings[name] for name in used}
        | _changed(manifest, settings, "prior_sampler"),
        weights=f"{clip}+{part.identity}{companions.measured(manifest, 'prior', name, settings)}",
        forward_passes=1 + calls,
        seconds_per_image=0.0008 * calls,
        image_size=None,
    )


def _autoregressive_stage(manifest: Manifest, settings: Mapping[str, Any], clip: str) -> Stage:
    """Return the stage of the autoregressive prior, which has no steps and no sampler to choose."""
    part = manifest.part(prior_part(settings))
    used = ("conditioning", "prior", "prior_guidance_scale", "prior_candidates", "prior_best_share")
    calls = part.config["num_components"] * settings["prior_candidates"]
    return Stage(
        name="conditioning",
        settings={name: settings[name] for name in used},
        weights=f"{clip}+{part.identity}",
        forward_passes=1 + calls,
        seconds_per_image=0.0008 * calls,
        image_size=None,
    )


def prior_part(settings: Mapping[str, Any]) -> str:
    """Return which part of the weights is the chosen prior."""
    return {"x0": "prior", "eps": "prior-eps", "ar": "prior-ar"}[settings["prior"]]


def decoder_stage(manifest: Manifest, settings: Mapping[str, Any]) -> Stage:
    """Return the stage that makes the smallest pictures.

    Raises:
        ValueError: settings contradict each other, or these weights cannot do what is asked.
    """
    name = decoder_part(settings)
    part = manifest.part(name)
    _check_decoder(manifest, part, settings)
    used = ("guidance_scale", "decoder_steps", "decoder_eta")
    chosen = {setting: settings[setting] for setting in used} | _steering(manifest, settings)
    calls = _network_calls("decoder", settings, part)
    steered = calls + 1 if settings["clip_guidance_scale"] else 0  # CLIP's, and that of the caption
    steered += calls if settings["classifier_guidance_scale"] else 0
    candidates = settings["decoder_candidates"]
    ranked = candidates + 1 if candidates > 1 else 0  # CLIP's, and that of the caption
    return Stage(
        name="decoder",
        settings=chosen | _conditions(manifest, settings),
        weights=companions.read_by_the_decoder(manifest, part, settings)
        + part.identity
        + companions.measured(manifest, "decoder", name, settings)
        + companions.components(manifest, settings)
        + companions.classifier(manifest, part, settings),
        forward_passes=candidates * (calls + steered) + ranked,
        seconds_per_image=candidates
        * (0.007 * calls * _pictures_a_call(settings) + 0.003 * steered)
        + 0.003 * ranked,
        image_size=part.config["image_size"],
    )


def decoder_part(settings: Mapping[str, Any]) -> str:
    """Return which part of the weights is the chosen decoder."""
    chosen = settings["decoder"]
    return "decoder" if chosen == "unclip" else f"decoder-{chosen}"


def _conditions(manifest: Manifest, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a decoder stage says of its conditions."""
    if settings["decoder"] != "unclip":
        return {"decoder": settings["decoder"]}
    # Without z_i the decoder must be told so: zeros are not the null embedding.
    null_z = settings["conditioning"] == "caption"
    names = ["decoder_caption"] if null_z else ["decoder_caption", "z_components"]
    return {"null_z": null_z} | _changed(manifest, settings, *names)


def _steering(manifest: Manifest, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decoder's later settings, those alone that change what it draws."""
    names = ["decoder_sampler", "decoder_candidates", "threshold"]
    names += ["clip_guidance_scale", "classifier_guidance_scale"]
    if settings["guidance_scale"] != 1:
        names += ["guidance_interval", "guidance_rescale"]
    if settings["decoder_sampler"] != "heun":  # which has noise levels of its own
        names.append("decoder_shift")
    chosen = _changed(manifest, settings, *names)
    if settings["threshold"] == "dynamic":
        chosen["threshold_quantile"] = settings["threshold_quantile"]
    return chosen


def _changed(manifest: Manifest, settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    defaults = unsaid(manifest)
    return {name: settings[name] for name in names if settings[name] != defaults[name]}


def _pictures_a_call(settings: Mapping[str, Any]) -> float:
    """Return how many pictures a call draws for each that is asked for: guidance needs two."""
    if settings["guidance_scale"] == 1:
        return 1.0
    first, last = ends(settings["guidance_interval"])
    return 1 + min((last - first + 1) / companions.NUM_TIMESTEPS, 1.0)


def _check_decoder(manifest: Manifest, part: Part, settings: Mapping[str, Any]) -> None:
    _check_shift(manifest, part, settings)
    if settings["decoder"] != "unclip" and settings["decoder_caption"] == "empty":
        raise ValueError(
            f"decoder_caption is 'empty', and decoder {settings['decoder']} is conditioned on "
            "nothing else; set it 'read'"
        )
    sampler, eta = settings["decoder_sampler"], settings["decoder_eta"]
    if eta and sampler != "ddim":
        raise ValueError(f"decoder_eta is {eta:g}; it is of ddim, so with {sampler} set it 0")
    unet = part.config.get("unet", {})
    learned = part.kind == "karlo-decoder" or unet.get("learned_variance", False)
    if sampler == "ddpm-learned" and not learned:
        raise ValueError(
            f"decoder_sampler is 'ddpm-learned', and the decoder of {manifest.name!r} has learned "
            "no variance; take ddpm"
        )
    if manifest.part("clip").kind != "clip":
        for name, off in companions.CLIP_LOOKS.items():
            if settings[name] != off:
                raise ValueError(
                    f"{name} is {settings[name]:g}, and the CLIP of {manifest.name!r} has no image "
                    f"encoder; set it {off}"
                )


def _check_shift(manifest: Manifest, part: Part, settings: Mapping[str, Any]) -> None:
    steps, shift = settings["decoder_steps"], settings["decoder_shift"]
    if shift == 1 or settings["decoder_sampler"] == "heun":
        return
    if part.kind == "karlo-decoder":
        raise ValueError(
            f"decoder_shift is {shift:g}, and {manifest.name!r} is sampled at its published "
            "timesteps; set it 1"
        )
    available = part.config.get("num_timesteps", companions.NUM_TIMESTEPS)
    if steps <= available:  # else the message about the steps is the right one
        shifted(available, steps, shift)


def _network_calls(stage: str, settings: Mapping[str, Any], part: Part) -> int:
    """Return how often a sampler asks its network for one sample; guidance's halves are one call.

    Raises:
        ValueError: that is more often than there are timesteps.
    """
    steps, sampler = settings[f"{stage}_steps"], settings[f"{stage}_sampler"]
    calls = 2 * steps - 1 if sampler == "heun" else steps
    available = part.config.get("num_timesteps", companions.NUM_TIMESTEPS)
    if calls > available:
        most = (available + 1) // 2 if sampler == "heun" else available
        raise ValueError(f"{stage}_steps is {steps}; with {sampler} at most {most} are allowed")
    return int(calls)


def upsampler_stage(manifest: Manifest, name: str, settings: Mapping[str, Any]) -> Stage:
    """Return the stage ``upsampler_256`` or ``upsampler_1024``."""
    network = settings.get(f"{name}_network", "adm")
    part = manifest.part(upsampler_part(name, network))
    size = part.config["high_size"]
    steps = settings[f"{name}_steps"]
    return Stage(
        name=name,
        settings={"steps": steps} | ({} if network == "adm" else {"network": network}),
        weights=part.identity,
        forward_passes=steps,
        seconds_per_image=5e-7 * size * size * steps,
        image_size=size,
    )


def upsampler_part(name: str, network: str) -> str:
    """Return which part of the weights is an upsampler with this network."""
    part = name.replace("_", "-")
    return part if network == "adm" else f"{part}-{network}"
