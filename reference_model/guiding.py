"""From a stage's settings to how its network is sampled: sampler, threshold, gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from reference_model.classes import labels_of
from reference_model.companions import noise_power_part
from reference_model.diffusion.gradient_guidance import classifier_guided, clip_guided
from reference_model.diffusion.samplers import ANALYTIC_DPM, Sampler, analytic
from reference_model.diffusion.steering import Steering
from reference_model.diffusion.targets import Denoiser, Threshold
from reference_model.diffusion.thresholding import dynamic, static, unbounded
from reference_model.settings import SETTINGS, ends

Setting = Callable[[str], Any]  # name -> value, the default where a stage does not name it
Network = Callable[[str], Any]  # part -> its network, loaded on first use


def sampler_of(stage: str, part: str, setting: Setting, network: Network) -> str | Sampler:
    """Return a stage's sampler: its name, or itself where it has to know more than that.

    Args:
        stage: ``prior`` or ``decoder``, before the names of its settings.
        part: that is sampled.
        setting: of the stage.
        network: of the stack.
    """
    name: str = setting(f"{stage}_sampler")
    if name != ANALYTIC_DPM:
        return name
    return analytic(network(noise_power_part(part)).table())


def steering_of(
    setting: Setting, network: Network, prompts: Sequence[str], decoder: str
) -> Steering:
    """Return what is done to a decoder's estimates besides its guidance scale.

    Args:
        setting: of the stage.
        network: of the stack.
        prompts: captions of the batch.
        decoder: the part that draws.
    """
    made: dict[str, Callable[[], Threshold]] = {
        "static": static,
        "dynamic": lambda: dynamic(setting("threshold_quantile")),
        "none": unbounded,
    }
    threshold = made[setting("threshold")]()

    def guided(denoise: Denoiser) -> Denoiser:
        """Follow the gradients that are asked for: the classifier's, then CLIP's."""
        schedule = network(decoder).schedule
        if scale := setting("classifier_guidance_scale"):
            likely = _likelihood(network("classifier"), prompts)
            denoise = classifier_guided(denoise, likely, schedule, scale, threshold=threshold)
        if scale := setting("clip_guidance_scale"):
            clip = network("clip")
            z_t = clip.encode_text(prompts).z_t
            denoise = clip_guided(denoise, clip.encode_images, z_t, schedule, scale)
        return denoise

    interval = setting("guidance_interval")
    always = interval == SETTINGS["guidance_interval"].default
    return Steering(
        interval=None if always else ends(interval),
        rescale=setting("guidance_rescale"),
        threshold=threshold,
        wrap=guided,
    )


def _likelihood(classifier: Any, prompts: Sequence[str]) -> Any:
    """Return log p(class | x_t) of the class that each prompt names."""
    labels = labels_of(prompts, classifier.config.classes)
    device = next(classifier.parameters()).device
    return classifier.log_likelihood(torch.tensor(labels, device=device))
