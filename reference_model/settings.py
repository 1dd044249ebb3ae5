"""Every knob of sampling, with its range, default and meaning.

Torch-free, so that a plan can be made and found cached without loading a network. Knobs are named
as one would say them, prefixed by their stage (`prior_steps`, `decoder_steps`); those of guidance
and thresholds without a prefix are the decoder's. What a setting makes stands in `stages`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reference_model.manifest import Manifest
from reference_model.spelling import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A setting with a fixed list of values."""

    default: str
    allowed: tuple[str, ...]
    means: str

    def check(self, name: str, value: Any) -> Any:
        """Return the value, or raise ValueError with a near match."""
        if value not in self.allowed:
            raise ValueError(f"{name} is {value!r}{nearest(str(value), self.allowed)}")
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
        # The range first: a whole number may be too large for float().
        ranged = numeric and self.low <= value <= self.high
        if not ranged or (kind is int and not float(value).is_integer()):
            wanted = "a whole number" if kind is int else "a number"
            raise ValueError(
                f"{name} is {repr(value)[:40]}; allowed: {wanted} from {self.low:g} "
                f"to {self.high:g}"
            )
        return kind(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A setting that is a range of whole numbers, written LOW-HIGH, both ends included."""

    default: str
    low: int
    high: int
    means: str

    def check(self, name: str, value: Any) -> Any:
        """Return the value as LOW-HIGH, or raise ValueError with the range."""
        found = re.fullmatch(r"(\d{1,9})-(\d{1,9})", value) if isinstance(value, str) else None
        first, last = (int(end) for end in found.groups()) if found else (1, 0)
        if not self.low <= first <= last <= self.high:
            raise ValueError(
                f"{name} is {value!r}; allowed: LOW-HIGH within {self.low}-{self.high}, "
                "such as 200-800"
            )
        return f"{first}-{last}"


def ends(interval: str) -> tuple[int, int]:
    """Return both ends of a checked `Interval`."""
    first, last = interval.split("-")
    return int(first), int(last)


Knob = Choice | Number | Interval

SETTINGS: dict[str, Knob] = {
    "conditioning": Choice(
        default="prior",
        allowed=("prior", "text-embedding", "caption"),
        means="what the decoder gets as z_i: the prior's, z_t as if it were z_i, or nothing",
    ),
    "prior": Choice(
        default="x0",
        allowed=("x0", "eps", "ar"),
        means="which prior: of diffusion, by what it was trained to predict, or autoregressive",
    ),
    "prior_best_share": Number(
        default=0.5,
        low=0.01,
        high=1.0,
        means="prior ar: its token of z_i . z_t is drawn from this share of the best, 1 = of all",
    ),
    "prior_steps": Number(default=25, low=1, high=1000, means="sampler steps of the prior"),
    "prior_sampler": Choice(
        default="ddim",
        allowed=("ddim", "ddpm", "analytic-dpm", "dpm-solver++2m", "heun"),
        means="of the prior (Karlo's weights: ddpm); heun makes 2 steps - 1 network calls, "
        "analytic-dpm (the paper's) needs the part prior-noise-power",
    ),
    "prior_guidance_scale": Number(
        default=1.0, low=0.0, high=20.0, means="1 = off, as in the paper (§5.5)"
    ),
    "prior_candidates": Number(
        default=2, low=1, high=64, means="z_i drawn per prompt; the best by z_i . z_t is kept"
    ),
    "decoder": Choice(
        default="unclip",
        allowed=("unclip", "imagen", "imagen-t5"),
        means="which decoder: on z_i, or without a prior on the token states of the stack's frozen "
        "CLIP, or of a frozen T5 (Imagen); those two leave conditioning without effect",
    ),
    "z_components": Number(
        default=0,
        low=0,
        high=4096,
        means="first principal components of z_i that the decoder gets, in place of all (paper, "
        "Fig. 7; part clip-pca), 0 = off",
    ),
    "decoder_caption": Choice(
        default="read",
        allowed=("read", "empty"),
        means="whether the decoder reads the caption beside z_i, or the empty one",
    ),
    "guidance_scale": Number(
        default=3.0, low=0.0, high=50.0, means="classifier-free guidance of the decoder, 1 = off"
    ),
    "guidance_interval": Interval(
        default="0-999",
        low=0,
        high=999,
        means="timesteps within which the decoder is guided (0 least noisy), in place of all",
    ),
    "guidance_rescale": Number(
        default=0.0,
        low=0.0,
        high=1.0,
        means="share of the guided output brought back to the unguided deviation, 0 = off",
    ),
    "clip_guidance_scale": Number(
        default=0.0,
        low=0.0,
        high=1000.0,
        means="of the decoder by the gradient of z_i . z_t in the stack's own CLIP, 0 = off",
    ),
    "classifier_guidance_scale": Number(
        default=0.0,
        low=0.0,
        high=1000.0,
        means="of the decoder by the gradient of the noise-aware classifier (part classifier), "
        "for prompts that name one of its classes, 0 = off",
    ),
    "threshold": Choice(
        default="static",
        allowed=("static", "dynamic", "none"),
        means="what the decoder does with an x0_hat beyond the pictures' range",
    ),
    "threshold_quantile": Number(
        default=0.995,
        low=0.5,
        high=1.0,
        means="share of a picture's entries within the range, with threshold dynamic",
    ),
    "decoder_candidates": Number(
        default=1,
        low=1,
        high=512,
        means="pictures drawn per prompt and seed; the stack's own CLIP keeps the best by "
        "z_i . z_t (reranking), 1 = off",
    ),
    "decoder_steps": Number(default=20, low=1, high=1000, means="sampler steps of the decoder"),
    "decoder_shift": Number(
        default=1.0,
        low=0.1,
        high=20.0,
        means="over 1, more of the decoder's steps are at the noisy timesteps; 1 = evenly spaced",
    ),
    "decoder_sampler": Choice(
        default="ddim",
        allowed=("ddim", "ddpm", "ddpm-learned", "analytic-dpm", "dpm-solver++2m", "heun"),
        means="of the decoder (Karlo's weights: ddpm-learned); heun makes 2 steps - 1 calls, "
        "analytic-dpm needs the part decoder-noise-power",
    ),
    "decoder_eta": Number(
        default=0.0, low=0.0, high=1.0, means="share of fresh noise, with sampler ddim"
    ),
    "upsampler_256_network": Choice(
        default="adm",
        allowed=("adm", "efficient"),
        means="U-Net of the upsampler to 256: ADM's as published, or Imagen's Efficient U-Net",
    ),
    "upsampler_256_steps": Number(default=6, low=1, high=1000, means="DDIM steps, 64 to 256"),
    "upsampler_1024_steps": Number(default=4, low=1, high=1000, means="DDIM steps, 256 to 1024"),
}


# What bundled weights draw best with (benchmarks/quality.py), in place of the neutral defaults.
FITTED: dict[str, dict[str, Any]] = {
    "scenes": {"guidance_scale": 2.0, "guidance_interval": "0-920", "decoder_shift": 3.0}
}

# What Karlo's parts are sampled by where nobody says otherwise.
KARLO_SAMPLERS = {"karlo-prior": ("prior", "ddpm"), "karlo-decoder": ("decoder", "ddpm-learned")}


def unsaid(manifest: Manifest) -> dict[str, Any]:
    """Return every setting at the value that a stage has where it does not name it.

    These never change, so that what lies in a store keeps its address.
    """
    neutral: dict[str, Any] = {name: knob.default for name, knob in SETTINGS.items()}
    for kind, (part, sampler) in KARLO_SAMPLERS.items():
        if part in manifest.parts and manifest.parts[part].kind == kind:
            neutral[f"{part}_sampler"] = sampler
    return neutral


def defaults_of(manifest: Manifest) -> dict[str, Any]:
    """Return every setting at the default of these weights."""
    return unsaid(manifest) | FITTED.get(manifest.name, {})


def resolve(changes: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults with the changes checked and applied.

    Raises:
        ValueError: a setting is unknown or out of range; the message names what is allowed.
    """
    settings = dict(defaults)
    for name, value in changes.items():
        if name not in SETTINGS:
            raise ValueError(f"unknown model setting {name!r}{nearest(name, SETTINGS)}")
        settings[name] = SETTINGS[name].check(name, value)
    return settings
