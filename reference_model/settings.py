"""Every knob of sampling, with its range and default, and the stages that a setting of them makes.

Torch-free, so that a plan can be made and found cached without loading a network. Knobs are named
as one would say them, prefixed by their stage (`prior_steps`, `decoder_steps`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reference_model.manifest import Manifest

STAGE_VERSION = 2  # raised whenever a stage's output changes for the same settings and weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A setting with a fixed list of values."""

    default: str
    allowed: tuple[str, ...]
    means: str

    def check(self, name: str, value: Any) -> Any:
        """Return the value, or raise ValueError with a near match."""
        if value not in self.allowed:
            near = difflib.get_close_matches(str(value), self.allowed) or self.allowed
            raise ValueError(f"{name} is {value!r}; allowed: {', '.join(near)}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A setting with a range; whole when its default is an int."""

    default: float
    low: float
    high: float
    means: str

    def check(self, name: str, value: Any) -> Any:
        """Return the value as int or float, or raise ValueError with the range."""
        kind = type(self.default)
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        whole = kind is float or (numeric and float(value).is_integer())
        if not numeric or not whole or not self.low <= value <= self.high:
            raise ValueError(
                f"{name} is {value!r}; allowed: {'a whole number' if kind is int else 'a number'} "
                f"from {self.low:g} to {self.high:g}"
            )
        return kind(value)


SETTINGS: dict[str, Choice | Number] = {
    "conditioning": Choice(
        default="prior",
        allowed=("prior", "text-embedding", "caption"),
        means="what the decoder gets as z_i: the prior's, z_t as if it were z_i, or nothing",
    ),
    "prior": Choice(
        default="x0", allowed=("x0", "eps"), means="which prior, by what it was trained to predict"
    ),
    "prior_steps": Number(default=25, low=1, high=1000, means="DDIM steps of the prior"),
    "prior_guidance_scale": Number(
        default=1.0, low=0.0, high=20.0, means="1 = off, as in the paper (§5.5)"
    ),
    "prior_candidates": Number(
        default=2, low=1, high=64, means="z_i drawn per prompt; the best by z_i . z_t is kept"
    ),
    "guidance_scale": Number(
        default=3.0, low=0.0, high=50.0, means="classifier-free guidance of the decoder, 1 = off"
    ),
    "decoder_steps": Number(default=20, low=1, high=1000, means="DDIM steps of the decoder"),
    "decoder_eta": Number(default=0.0, low=0.0, high=1.0, means="DDIM's share of fresh noise"),
    "upsampler_256_steps": Number(default=6, low=1, high=1000, means="DDIM steps, 64 to 256"),
    "upsampler_1024_steps": Number(default=4, low=1, high=1000, means="DDIM steps, 256 to 1024"),
}


def resolve(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting, with the changes checked and applied.

    Raises:
        ValueError: a setting is unknown or out of range; the message names what is allowed.
    """
    settings: dict[str, Any] = {name: knob.default for name, knob in SETTINGS.items()}
    for name, value in changes.items():
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, SETTINGS) or sorted(SETTINGS)
            raise ValueError(f"unknown model setting {name!r}; did you mean {' or '.join(near)}?")
        settings[name] = SETTINGS[name].check(name, value)
    return settings


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
    """Return the stage that makes z_i (or z_t in its place, or nothing)."""
    kind = settings["conditioning"]
    clip = manifest.part("clip").sha256
    if kind != "prior":
        return Stage(
            name="conditioning",
            settings={"conditioning": kind},
            weights=clip if kind == "text-embedding" else "",
            forward_passes=1 if kind == "text-embedding" else 0,
            seconds_per_image=0.001,
            image_size=None,
        )
    used = ("conditioning", "prior", "prior_steps", "prior_guidance_scale", "prior_candidates")
    return Stage(
        name="conditioning",
        settings={name: settings[name] for name in used},
        weights=f"{clip}+{manifest.part(prior_part(settings)).sha256}",
        forward_passes=1 + settings["prior_steps"] * settings["prior_candidates"],
        seconds_per_image=0.0008 * settings["prior_steps"] * settings["prior_candidates"],
        image_size=None,
    )


def prior_part(settings: Mapping[str, Any]) -> str:
    """Return which part of the weights is the chosen prior."""
    return {"x0": "prior", "eps": "prior-eps"}[settings["prior"]]


def decoder_stage(manifest: Manifest, settings: Mapping[str, Any]) -> Stage:
    """Return the stage that makes the smallest pictures."""
    doubled = 1 if settings["guidance_scale"] == 1 else 2
    used = ("guidance_scale", "decoder_steps", "decoder_eta")
    part = manifest.part("decoder")
    chosen = {name: settings[name] for name in used}
    # Karlo's decoder reads the states of CLIP's text tower, so that is among its weights.
    clip = f"{manifest.part('clip').sha256}+" if part.kind == "karlo-decoder" else ""
    return Stage(
        name="decoder",
        # Without z_i the decoder must be told so: zeros are not the null embedding.
        settings={**chosen, "null_z": settings["conditioning"] == "caption"},
        weights=clip + part.sha256,
        forward_passes=settings["decoder_steps"],
        seconds_per_image=0.007 * settings["decoder_steps"] * doubled,
        image_size=part.config["image_size"],
    )


def upsampler_stage(manifest: Manifest, name: str, settings: Mapping[str, Any]) -> Stage:
    """Return the stage ``upsampler_256`` or ``upsampler_1024``."""
    part = manifest.part(name.replace("_", "-"))
    size = part.config["high_size"]
    steps = settings[f"{name}_steps"]
    return Stage(
        name=name,
        settings={"steps": steps},
        weights=part.sha256,
        forward_passes=steps,
        seconds_per_image=5e-7 * size * size * steps,
        image_size=size,
    )
