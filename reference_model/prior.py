"""The diffusion prior (paper §2.2): from a caption to the image embedding that it might have.

A causal transformer over [text states, z_t, timestep, noised z_i, final query]; the output at the
query is the prediction. Diffusion runs on a scaled z_i, because the noise schedule assumes entries
of about unit size while a unit-length vector has entries of 1/sqrt(d); the scale is a named
setting.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.config import PriorConfig
from reference_model.diffusion.guidance import classifier_free
from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.diffusion.samplers import Sampler, sample
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser, denoiser
from reference_model.transformer import Transformer, timestep_embedding

PAPER_SCALE = 17.2  # App. C: matches the variance of ImageNet pixels in [-1, 1] for d = 1024


class DiffusionPrior(nn.Module):
    """Samples z_i given a text encoding of the CLIP that it was trained with."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.states_in = nn.Linear(config.text_width, width)
        self.z_t_in = nn.Linear(config.z_dim, width)
        self.z_i_in = nn.Linear(config.z_dim, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.null_state = nn.Parameter(0.02 * torch.randn(width))
        self.null_z_t = nn.Parameter(0.02 * torch.randn(width))
        self.positions = nn.Parameter(0.02 * torch.randn(config.context_length + 4, width))
        self.transformer = Transformer(width, config.depth, config.heads)
        self.out = nn.Linear(width, config.z_dim)
        self.noise_gate = nn.Linear(width, 1) if config.noise_skip else None
        self.register_buffer("z_mean", torch.zeros(config.z_dim))
        self.register_buffer("z_std", torch.full((config.z_dim,), config.z_dim**-0.5))
        self.schedule = Schedule(config.schedule, config.num_timesteps)

    def scale(self, z_i: Tensor) -> Tensor:
        """Bring unit-length embeddings to the scale of diffusion."""
        mean, factor = self._affine()
        return (z_i - mean) * factor

    def unscale(self, x0: Tensor) -> Tensor:
        """Bring a sample back to a unit-length embedding."""
        mean, factor = self._affine()
        return functional.normalize(x0 / factor + mean, dim=-1)

    def _affine(self) -> tuple[Tensor | float, Tensor | float]:
        if self.config.embedding_scale == "per-dimension":
            return self.z_mean, 1 / self.z_std
        sqrt_d = self.config.z_dim**0.5
        return 0.0, sqrt_d if self.config.embedding_scale == "sqrt-d" else PAPER_SCALE

    def in_unit_ball(self, x0: Tensor) -> Tensor:
        """Shrink estimates whose z_i is longer than 1, in the scaled units.

        True embeddings have length 1 and their average is shorter, so this cuts nothing true; it
        holds the first steps of an eps network, which divide its error by almost nothing.
        """
        mean, factor = self._affine()
        z_i = x0 / factor + mean
        return (z_i / z_i.norm(dim=-1, keepdim=True).clamp(min=1.0) - mean) * factor

    def forward(
        self, x_t: Tensor, t: Tensor, states: Tensor, mask: Tensor, z_t: Tensor, known: Tensor
    ) -> Tensor:
        """Predict the target.

        Args:
            x_t: noised, scaled z_i [b, d].
            t: timesteps [b].
            states: CLIP's per-token text states [b, l, text_width].
            mask: True where a token is real [b, l].
            z_t: unit-length text embedding [b, d].
            known: False where the text is dropped (null condition) [b].
        """
        given = known[:, None]
        text = self._text(states, z_t, given)
        tail, gate = self._tail(x_t, t)
        sequence = torch.cat([text, tail.to(text.dtype)], dim=1)
        hidden = self.transformer(sequence + self.positions, self._mask(mask, given))
        return self._predict(hidden[:, -1], x_t, gate)

    def remember(
        self, states: Tensor, mask: Tensor, z_t: Tensor, known: Tensor
    ) -> tuple[Tensor, ...]:
        """Return what `continued` needs of the text: which tokens are there, and keys and values.

        The transformer is causal and the text stands first, so none of it depends on the timestep
        or on x_t: a sampler runs the text once, and three tokens at each step.

        Args:
            states: as `forward` takes them, as are the others [b, l, text_width].
            mask: [b, l].
            z_t: [b, d].
            known: [b].
        """
        given = known[:, None]
        text = self._text(states, z_t, given)
        length = text.shape[1]
        whole = self._mask(mask, given)
        past = self.transformer.remember(
            text + self.positions[:length], whole[:, :, :length, :length]
        )
        return whole[:, :, length:], *past

    def continued(self, x_t: Tensor, t: Tensor, mask: Tensor, *past: Tensor) -> Tensor:
        """Predict the target as `forward` does, given what `remember` returned."""
        tail, gate = self._tail(x_t, t)
        tail = tail + self.positions[-tail.shape[1] :]
        hidden = self.transformer(tail, mask, past)
        return self._predict(hidden[:, -1], x_t, gate)

    def _text(self, states: Tensor, z_t: Tensor, given: Tensor) -> Tensor:
        """Return the tokens that do not change while sampling [b, l + 1, width]."""
        text = torch.where(given[..., None], self.states_in(states), self.null_state.to(z_t.dtype))
        z_text = torch.where(given, self.z_t_in(z_t * self.config.z_dim**0.5), self.null_z_t)
        return torch.cat([text, z_text[:, None].to(text.dtype)], dim=1)

    def _tail(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the tokens of timestep, z_i and query [b, 3, width], and the gate of x_t."""
        time = self.time(timestep_embedding(t, self.config.width))
        tail = torch.stack([time, self.z_i_in(x_t), self.query.expand(len(x_t), -1)], dim=1)
        return tail, None if self.noise_gate is None else self.noise_gate(time)

    def _predict(self, hidden: Tensor, x_t: Tensor, gate: Tensor | None) -> Tensor:
        output = self.out(hidden)
        return output if gate is None else output + x_t * gate

    def _mask(self, mask: Tensor, given: Tensor) -> Tensor:
        """Causal, blind to padding; the null text is one token. [b, 1, l + 4, l + 4]."""
        b, length = mask.shape
        first = torch.zeros_like(mask)
        first[:, 0] = True
        text = torch.where(given, mask, first)
        columns = torch.cat([text, torch.ones(b, 4, dtype=torch.bool, device=mask.device)], dim=1)
        total = length + 4
        causal = torch.ones(total, total, dtype=torch.bool, device=mask.device).tril()
        # Each row may look at itself, so that no row of the softmax is empty.
        itself = torch.eye(total, dtype=torch.bool, device=mask.device)
        return ((columns[:, None, :] & causal) | itself)[:, None]

    def sample(
        self,
        text: tuple[Tensor, Tensor, Tensor],
        noise_keys: Sequence[NoiseKey],
        *,
        steps: int,
        guidance_scale: float = 1.0,
        candidates: int = 2,
        sampler: str | Sampler = "ddim",
    ) -> Tensor:
        """Return unit-length z_i [b, d]: the candidate with the largest z_i . z_t (paper: of two).

        Args:
            text: (z_t, states, mask) of `Clip.encode_text`.
            noise_keys: (prompt id, seed) of each sample.
            steps: of the sampler.
            guidance_scale: classifier-free, 1 = off, as in the paper.
            candidates: how many z_i are drawn for each prompt.
            sampler: a name of `diffusion.samplers.SAMPLERS`, or a sampler itself.
        """
        z_t = text[0]
        noise = KeyedNoise(noise_keys, "prior", z_t.device)
        denoise = self.denoiser(text, guidance_scale)

        def draw() -> Tensor:
            return noise.draw(self.config.z_dim)

        draws = torch.stack(
            [
                self.unscale(
                    sample(sampler, denoise, self.schedule, draw(), steps=steps, draw=draw)
                )
                for _ in range(candidates)
            ]
        )
        best = (draws * z_t).sum(-1).argmax(dim=0)
        return draws[best, torch.arange(len(z_t), device=z_t.device)]

    def denoiser(self, text: tuple[Tensor, Tensor, Tensor], guidance_scale: float) -> Denoiser:
        """Return the guided denoiser of these captions, over scaled z_i."""
        z_t, states, mask = text
        known = torch.ones(len(z_t), dtype=torch.bool, device=z_t.device)
        network = classifier_free(
            self.continued,
            self.remember(states, mask, z_t, known),
            self.remember(states, mask, z_t, ~known) if guidance_scale != 1 else (),
            guidance_scale,
        )
        return denoiser(network, self.config.target, self.schedule, threshold=self.in_unit_ball)
