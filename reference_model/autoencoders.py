"""The autoencoder family: what each learns, and what can be sampled from it.

* ae learns to copy through a narrow code; new pictures come from a gaussian fitted to the codes.
* dae copies, given a noisy picture (Vincent et al. 2008); sampled like ae.
* mae fills in hidden patches (He et al. 2021, arXiv 2111.06377); there is nothing to sample from.
* vae copies through a noisy code (Kingma & Welling 2013, arXiv 1312.6114); sampled from its prior.
* vq-vae copies through discrete codes (van den Oord et al. 2017, arXiv 1711.00937); sampled by how
  often each code occurs at its place, a stand-in for the prior that would be learned on top.

Small and convolutional, one class for all, so that their differences are in one place: the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["ae", "dae", "mae", "vae", "vq-vae"]
REDUCTION = 8  # three strided convolutions


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderConfig:
    """Shape and kind.

    Attributes:
        code_width: numbers in the code; for vq-vae, in each place of its grid.
        codebook_size: discrete codes of vq-vae.
        noise_std: of dae's input, in units of [-1, 1].
        hidden_share: of mae's patches (of `REDUCTION` pixels) that are hidden.
        kl_weight: of vae's KL, a pixel's squared error being the unit.
        commitment: weight of vq-vae's pull of the encoder to its code (paper: 0.25).
    """

    kind: Kind
    image_size: int = 32
    channels: int = 32
    code_width: int = 32
    codebook_size: int = 128
    noise_std: float = 0.4
    hidden_share: float = 0.5
    kl_weight: float = 1e-3
    commitment: float = 0.25


class Coded(NamedTuple):
    """A code as the decoder reads it, and what its kind adds to the loss."""

    code: Tensor
    penalty: Tensor


class Autoencoder(nn.Module):
    """Pictures [b, 3, s, s] in [-1, 1] to codes and back."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        c, self.grid = config.channels, config.image_size // REDUCTION
        flat, width = 2 * c * self.grid**2, config.code_width
        self.encoder = nn.Sequential(
            nn.Conv2d(3, c, 4, 2, 1), nn.SiLU(), nn.Conv2d(c, 2 * c, 4, 2, 1), nn.SiLU(),
            nn.Conv2d(2 * c, 2 * c, 4, 2, 1), nn.SiLU(),
        )  # fmt: skip
        if config.kind == "vq-vae":
            self.to_code: nn.Module = nn.Conv2d(2 * c, width, 1)
            self.from_code: nn.Module = nn.Conv2d(width, 2 * c, 1)
            self.codebook = nn.Embedding(config.codebook_size, width)
            nn.init.uniform_(self.codebook.weight, -0.5, 0.5)
            frequencies = torch.ones(self.grid**2, config.codebook_size)
            self.register_buffer("frequencies", frequencies)
        else:
            outputs = 2 * width if config.kind == "vae" else width
            self.to_code = nn.Sequential(nn.Flatten(), nn.Linear(flat, outputs))
            shape = (2 * c, self.grid, self.grid)
            self.from_code = nn.Sequential(nn.Linear(width, flat), nn.Unflatten(1, shape))
            self.register_buffer("code_mean", torch.zeros(width))
            self.register_buffer("code_factor", torch.eye(width))
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(2 * c, 2 * c, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(2 * c, c, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(c, 3, 4, 2, 1),
        )  # fmt: skip

    def encode(self, x: Tensor, eps: Tensor | None = None) -> Coded:
        """Return the code of pictures; ``eps`` [b, code_width] is vae's noise, None for none."""
        raw = self.to_code(self.encoder(x))
        if self.config.kind == "vq-vae":
            return self._quantised(raw)
        if self.config.kind != "vae":
            return Coded(raw, raw.new_zeros(()))
        mean, log_variance = raw.chunk(2, dim=1)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        code = mean if eps is None else mean + (0.5 * log_variance).exp() * eps
        return Coded(code, self.config.kl_weight * kl)

    def _quantised(self, raw: Tensor) -> Coded:
        """Return the nearest codes; gradients pass them as if they were the encoder's output."""
        near = self.codebook(self.indices(raw)).permute(0, 3, 1, 2)
        penalty = functional.mse_loss(near, raw.detach())
        penalty = penalty + self.config.commitment * functional.mse_loss(raw, near.detach())
        return Coded(raw + (near - raw).detach(), penalty)

    def indices(self, raw: Tensor) -> Tensor:
        """Return the nearest code's index at each place [b, g, g] of vq-vae's grid."""
        places = raw.permute(0, 2, 3, 1)
        return (
            torch.cdist(places.flatten(0, 2), self.codebook.weight).argmin(1).view(places.shape[:3])
        )

    def decode(self, code: Tensor) -> Tensor:
        """Return pictures of codes."""
        return self.decoder(functional.silu(self.from_code(code)))

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures copied through their codes, without any noise."""
        return self.decode(self.encode(x).code)

    def loss(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return the loss of a batch: squared error (mae: of hidden patches) and the penalty."""
        given, counted = x, torch.ones_like(x)
        if self.config.kind == "dae":
            given = x + self.config.noise_std * _randn(x.shape, source, x)
        if self.config.kind == "mae":
            counted = self.hidden(len(x), source).to(x)
            given = x * (1 - counted)
        code, penalty = self.encode(given, _randn((len(x), self.config.code_width), source, x))
        error = ((self.decode(code) - x) ** 2 * counted).sum() / counted.expand_as(x).sum()
        return error + penalty

    def hidden(self, n: int, source: torch.Generator) -> Tensor:
        """Return a mask [n, 1, s, s], 1 where a patch is hidden; as many in every picture."""
        places = self.grid**2
        order = torch.rand(n, places, generator=source).argsort(dim=1)
        mask = (order < round(self.config.hidden_share * places)).float()
        return (
            mask.view(n, 1, self.grid, self.grid)
            .repeat_interleave(REDUCTION, 2)
            .repeat_interleave(REDUCTION, 3)
        )

    @torch.no_grad()
    def fit_sampler(self, x: Tensor) -> None:
        """Measure on training pictures what `sample` draws from; vae and mae need nothing."""
        if self.config.kind in {"ae", "dae"}:
            codes = self.encode(x).code
            self.code_mean.copy_(codes.mean(dim=0))
            tiny = 1e-6 * torch.eye(self.config.code_width, device=x.device)
            self.code_factor.copy_(torch.linalg.cholesky(torch.cov(codes.T) + tiny))
        if self.config.kind == "vq-vae":
            indices = self.indices(self.to_code(self.encoder(x))).flatten(1)
            one_hot = functional.one_hot(indices, self.config.codebook_size)
            self.frequencies.copy_(one_hot.float().mean(dim=0))

    @torch.no_grad()
    def sample(self, n: int, source: torch.Generator) -> Tensor:
        """Return new pictures [n, 3, s, s].

        Raises:
            ValueError: the kind is mae, which has no law of codes to draw from.
        """
        if self.config.kind == "mae":
            raise ValueError(
                "a masked autoencoder fills in pictures; it has nothing to sample from"
            )
        if self.config.kind == "vq-vae":
            drawn = torch.multinomial(
                self.frequencies.cpu(), n, replacement=True, generator=source
            ).to(self.frequencies.device)
            grid = drawn.T.reshape(n, self.grid, self.grid)
            return self.decode(self.codebook(grid).permute(0, 3, 1, 2))
        eps = _randn((n, self.config.code_width), source, self.code_mean)
        return self.decode(self.code_mean + eps @ self.code_factor.T)


def _randn(shape: tuple[int, ...], source: torch.Generator, like: Tensor) -> Tensor:
    return torch.randn(shape, generator=source).to(like)
