"""What unCLIP can do with a given picture (paper §3): variations, interpolation, text diffs.

A picture is described by two things: z_i, what CLIP sees in it, and x_T, the noise from which DDIM
leads back to it, which holds the rest. Keeping or moving either makes the manipulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from reference_model.clip import to_model_range, to_uint8
from reference_model.dalle2 import DALLE2
from reference_model.diffusion.noise import KeyedNoise
from reference_model.diffusion.samplers import ddim, ddim_invert
from reference_model.pca import Pca, reconstruct

VARIATION_ETA = 0.8


class Latents(NamedTuple):
    """A picture's two parts: unit-length z_i [n, d] and x_T [n, 3, size, size]."""

    z_i: Tensor
    x_T: Tensor  # noqa: N815  (the paper's symbol)


def slerp(start: Tensor, end: Tensor, share: Tensor | float) -> Tensor:
    """Return the point at ``share`` of the arc between two vectors, row by row (paper §3.2).

    Args:
        start: [n, ...].
        end: like ``start``; lengths are interpolated too, so unit vectors stay unit.
        share: 0 = start, 1 = end; a number or [n].
    """
    a, b = start.flatten(1), end.flatten(1)
    s = torch.as_tensor(share, dtype=a.dtype, device=a.device).view(-1, 1)
    cosine = functional.cosine_similarity(a, b, dim=1).clamp(-1, 1)[:, None]
    angle = cosine.acos()
    sine = angle.sin()
    # Nearly parallel vectors have no arc to speak of; a straight line is the same there.
    straight = sine < 1e-4  # noqa: PLR2004
    safe = torch.where(straight, torch.ones_like(sine), sine)
    weight_a = torch.where(straight, 1 - s, ((1 - s) * angle).sin() / safe)
    weight_b = torch.where(straight, s, (s * angle).sin() / safe)
    length = (1 - s) * a.norm(dim=1, keepdim=True) + s * b.norm(dim=1, keepdim=True)
    unit = weight_a * functional.normalize(a, dim=1) + weight_b * functional.normalize(b, dim=1)
    return (length * unit).view(start.shape)


class Manipulator:
    """Takes pictures apart and draws them again, changed.

    Args:
        model: a stack with an image encoder.
        steps: DDIM steps, both ways.
        guidance_scale: of the decoder when it draws; taking apart is never guided.

    Raises:
        ValueError: the stack's CLIP cannot see (Karlo's text tower).
    """

    def __init__(self, model: DALLE2, *, steps: int = 50, guidance_scale: float = 1.0) -> None:
        if model.manifest.part("clip").kind != "clip":
            raise ValueError(f"weights {model.name!r} have no image encoder, which this needs")
        self.model, self.steps, self.guidance_scale = model, steps, guidance_scale

    @torch.inference_mode()
    def take_apart(self, images: NDArray[np.uint8]) -> Latents:
        """Return z_i and x_T of pictures [n, h, w, 3], which are brought to the decoder's size."""
        decoder = self.model.network("decoder")
        pictures = to_model_range(images, self.model.device)
        z_i = self.model.network("clip").encode_images(pictures)
        size = decoder.config.image_size
        if pictures.shape[-2:] != (size, size):
            pictures = functional.interpolate(
                pictures, (size, size), mode="bicubic", antialias=True, align_corners=False
            ).clamp(-1, 1)
        denoise = decoder.denoiser(z_i, [""] * len(images), 1.0)
        return Latents(z_i, ddim_invert(denoise, decoder.schedule, pictures, steps=self.steps))

    @torch.inference_mode()
    def draw(
        self, latents: Latents, *, eta: float = 0.0, seeds: Sequence[int] | None = None
    ) -> NDArray[np.uint8]:
        """Return pictures of latents; eta > 0 puts fresh noise in, by each picture's seed."""
        decoder, n = self.model.network("decoder"), len(latents.z_i)
        keys = [("variation", seed) for seed in seeds or range(n)]
        noise = KeyedNoise(keys, "decoder", self.model.device)
        denoise = decoder.denoiser(latents.z_i, [""] * n, self.guidance_scale)
        pictures = ddim(
            denoise,
            decoder.schedule,
            latents.x_T,
            steps=self.steps,
            eta=eta,
            draw=lambda: noise.draw(*latents.x_T.shape[1:]),
        )
        return to_uint8(pictures)

    def variations(
        self, image: NDArray[np.uint8], seeds: Sequence[int], *, eta: float = VARIATION_ETA
    ) -> NDArray[np.uint8]:
        """Return pictures with the same z_i and x_T, a share eta of the noise redrawn (§3.1).

        Args:
            image: uint8 [h, w, 3].
            seeds: one for each variation.
            eta: 0 = the picture itself; the larger, the freer.
        """
        latents = repeated(self.take_apart(image[None]), len(seeds))
        return self.draw(latents, eta=eta, seeds=seeds)

    def interpolation(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], n: int
    ) -> NDArray[np.uint8]:
        """Return n pictures from the first to the second, both included (§3.2)."""
        (a_z, a_x), (b_z, b_x) = (
            repeated(self.take_apart(image[None]), n) for image in (first, second)
        )
        share = torch.linspace(0, 1, n, device=a_z.device)
        return self.draw(Latents(slerp(a_z, b_z, share), slerp(a_x, b_x, share)))

    def text_diff(
        self, image: NDArray[np.uint8], before: str, after: str, shares: Sequence[float]
    ) -> NDArray[np.uint8]:
        """Return the picture moved from one caption's meaning towards another's (§3.3).

        z_i is rotated towards the normalised difference of the captions' z_t; x_T is kept, so that
        what the words do not speak of stays.

        Args:
            image: uint8 [h, w, 3].
            before: describes the picture.
            after: describes what it shall become.
            shares: of the way, 0 = as it is; the paper goes up to 0.25 or 0.50.
        """
        latents = repeated(self.take_apart(image[None]), len(shares))
        with torch.inference_mode():
            z_t = self.model.network("clip").encode_text([before, after]).z_t
            towards = functional.normalize(z_t[1] - z_t[0], dim=0).expand_as(latents.z_i)
            moved = slerp(latents.z_i, towards, torch.tensor(shares))
        return self.draw(Latents(moved, latents.x_T))

    def from_components(
        self, image: NDArray[np.uint8], pca: Pca, counts: Sequence[int]
    ) -> NDArray[np.uint8]:
        """Return the picture drawn from its first k principal components, for each k (§4.1)."""
        latents = repeated(self.take_apart(image[None]), len(counts))
        with torch.inference_mode():
            z_i = torch.cat([reconstruct(pca, latents.z_i[:1], k) for k in counts])
        return self.draw(Latents(z_i, latents.x_T))


def repeated(latents: Latents, n: int) -> Latents:
    """Return one picture's latents n times."""
    return Latents(*(part[:1].repeat(n, *[1] * (part.ndim - 1)) for part in latents))
