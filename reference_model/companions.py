"""What a stage asks of parts besides its own: encoders, measurements and a classifier.

Their identities stand in the stage's address, before the "+" of its own part or after it, where
and only where they decide what it makes. Torch-free, like `stages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference_model.manifest import Manifest, Part

NUM_TIMESTEPS = 1000  # of weights whose config does not say (Karlo's)
CLIP_LOOKS = {"clip_guidance_scale": 0, "decoder_candidates": 1}  # and where they are off
PCA_PART = "clip-pca"  # the principal components of the stack's own CLIP's z_i


def noise_power_part(part: str) -> str:
    """Return the name of the part that holds the measured noise power of another."""
    return f"{part}-noise-power"


def measured(manifest: Manifest, stage: str, name: str, settings: Mapping[str, Any]) -> str:
    """Return the identity of what a stage's sampler has to know of its network, after a "+".

    Raises:
        ValueError: it is Analytic-DPM, and nothing was measured, or it was of other weights.
    """
    if settings[f"{stage}_sampler"] != "analytic-dpm":
        return ""
    power = noise_power_part(name)
    wanted = f"{stage}_sampler is 'analytic-dpm', and weights {manifest.name!r}"
    advice = f"train the stage {power} (it measures), or take ddpm"
    if power not in manifest.parts:
        raise ValueError(f"{wanted} have no part {power!r}; {advice}")
    power_part = manifest.part(power)
    if power_part.config.get("of") != manifest.part(name).identity:
        raise ValueError(f"{wanted} have a {power} of another {name}; {advice}")
    return f"+{power_part.identity}"


def components(manifest: Manifest, settings: Mapping[str, Any]) -> str:
    """Return the identity of the principal components that z_i is rebuilt from, after a "+".

    Raises:
        ValueError: they were not measured, or of another CLIP, or are fewer.
    """
    kept = settings["z_components"]
    if not kept or settings["conditioning"] == "caption" or settings["decoder"] != "unclip":
        return ""
    wanted = f"z_components is {kept}, and weights {manifest.name!r}"
    if PCA_PART not in manifest.parts:
        raise ValueError(
            f"{wanted} have no part {PCA_PART!r}; train the stage (it measures), or set it 0"
        )
    part = manifest.part(PCA_PART)
    if part.config.get("of") != manifest.part("clip").identity:
        raise ValueError(
            f"{wanted} have a {PCA_PART} of another CLIP; train the stage, or set it 0"
        )
    if kept > part.config["z_dim"]:
        raise ValueError(f"{wanted} have a z_i of {part.config['z_dim']}; at most that many")
    return f"+{part.identity}"


def read_by_the_decoder(manifest: Manifest, part: Part, settings: Mapping[str, Any]) -> str:
    """Return the identities, each before a "+", of the encoders that a decoder asks."""
    asked = [part.config["text_encoder"]] if part.kind == "imagen" else []
    # Karlo's decoder reads the states of CLIP's text tower.
    if part.kind == "karlo-decoder" or looks_at_pictures(settings):
        asked.append("clip")
    return "".join(f"{manifest.part(name).identity}+" for name in dict.fromkeys(asked))


def looks_at_pictures(settings: Mapping[str, Any]) -> bool:
    """Say whether the stack's CLIP sees pictures while a decoder draws."""
    return any(settings[name] != off for name, off in CLIP_LOOKS.items())


def classifier(manifest: Manifest, part: Part, settings: Mapping[str, Any]) -> str:
    """Return the identity of the classifier that guides, after a "+", where one does.

    Raises:
        ValueError: there is none, or it was trained on other noise than the decoder.
    """
    scale = settings["classifier_guidance_scale"]
    if not scale:
        return ""
    wanted = f"classifier_guidance_scale is {scale:g}, and weights {manifest.name!r}"
    if "classifier" not in manifest.parts:
        raise ValueError(f"{wanted} have no part 'classifier'; train the stage, or set it 0")
    guide = manifest.part("classifier")
    ours, theirs = (
        (p.config.get("schedule", "cosine"), p.config.get("num_timesteps", NUM_TIMESTEPS))
        for p in (part, guide)
    )
    if ours != theirs:
        raise ValueError(
            f"{wanted} have a classifier of the noise {theirs[0]}, {theirs[1]} timesteps, and a "
            f"decoder of {ours[0]}, {ours[1]}; set it 0"
        )
    return f"+{guide.identity}"
