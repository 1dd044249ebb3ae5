"""What a decoder's estimates may undergo besides the guidance scale: one value, one place.

The models close their conditions over a network and hand it here, so that every model offers the
same choices and none of them repeats the order in which they apply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from reference_model.config import Target
from reference_model.diffusion.guidance import classifier_free
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser, Threshold, denoiser

IMAGE_RANGE = 1.0

Conditions = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]  # the given ones, and the null ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """How x0_hat is guided and kept in range; the defaults are the published decoder's.

    Attributes:
        interval: timesteps (first, last) within which classifier-free guidance is on; None for all.
        rescale: share of the guided output brought back to the conditional's deviation, 0 = off.
        threshold: bounds x0_hat; None clamps it to the pictures' range.
        wrap: changes the guided denoiser further, such as `gradient_guidance.clip_guided`.
    """

    interval: tuple[int, int] | None = None
    rescale: float = 0.0
    threshold: Threshold | None = None
    wrap: Callable[[Denoiser], Denoiser] | None = None


PLAIN = Steering()


def steered(
    network: Callable[..., Tensor],
    conditions: Conditions,
    scale: float,
    *,
    target: Target,
    schedule: Schedule,
    steering: Steering,
) -> Denoiser:
    """Return the guided denoiser of pictures in [-1, 1].

    Args:
        network: (x_t, t, *conditions) -> output.
        conditions: the given and the null ones, each [b, ...].
        scale: classifier-free guidance scale, 1 = off.
        target: what the network predicts.
        schedule: alpha_bar table.
        steering: what else is done to its estimates.
    """
    guided = classifier_free(
        network, *conditions, scale, interval=steering.interval, rescale=steering.rescale
    )
    bounded = denoiser(
        guided, target, schedule, clip_range=IMAGE_RANGE, threshold=steering.threshold
    )
    return bounded if steering.wrap is None else steering.wrap(bounded)
