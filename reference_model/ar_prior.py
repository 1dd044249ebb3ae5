"""The autoregressive prior (paper §2.2): z_i as a sequence of codes, one a principal component.

z_i is projected to its principal components, ordered by falling variance, and each coefficient is
put into one of 1,024 buckets. A causal transformer reads [text states, z_t, token of z_i . z_t] and
then predicts code after code. At sampling the token is drawn from the better half of the products
that training saw, which asks for an image that fits its caption.

Size: the paper says "1B" and lists a text encoder of 24 x 2048 and a latent decoder of 24 x 1664
with a context of 384. Both together would be 2.0B (24 x 12 x 2048^2 = 1.21B, 24 x 12 x 1664^2 =
0.80B), so 1B can only count the latent decoder. Here it reads CLIP's own text states; that of
`variants.paper` has 0.81B, which rounds to the published figure, and cross-attention to the states
in place of the prefix would make 1.09B.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.pca import Pca, fit_pca
from reference_model.transformer import Transformer
from reference_model.variant_config import AutoregressivePriorConfig

NUM_PREFIX = 2  # z_t and the token of z_i . z_t, after the text states


class AutoregressivePrior(nn.Module):
    """Samples unit-length z_i given a text encoding of the CLIP that it was trained with."""

    def __init__(self, config: AutoregressivePriorConfig) -> None:
        super().__init__()
        self.config = config
        c, width = config, config.width
        self.states_in = nn.Linear(c.text_width, width)
        self.z_t_in = nn.Linear(c.z_dim, width)
        self.products = nn.Embedding(c.num_products, width)
        self.codes = nn.Embedding(c.num_buckets, width)
        self.null_state = nn.Parameter(0.02 * torch.randn(width))
        self.null_z_t = nn.Parameter(0.02 * torch.randn(width))
        # The last code is predicted and never read.
        length = c.context_length + NUM_PREFIX + c.num_components - 1
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.transformer = Transformer(width, c.depth, c.heads)
        self.out = nn.Linear(width, c.num_buckets)
        self.register_buffer("mean", torch.zeros(c.z_dim))
        self.register_buffer("components", torch.eye(c.num_components, c.z_dim))
        self.register_buffer("low", -torch.ones(c.num_components))
        self.register_buffer("high", torch.ones(c.num_components))
        edges = torch.linspace(-1, 1, c.num_products + 1)[1:-1]
        self.register_buffer("product_edges", edges)

    @torch.no_grad()
    def fit_codes(self, z_i: Tensor, z_t: Tensor) -> Pca:
        """Fit components, buckets and the products' shares to training embeddings [n, d].

        Raises:
            ValueError: the embeddings have fewer components than the config asks for.
        """
        pca, k = fit_pca(z_i), self.config.num_components
        if len(pca.components) < k:
            raise ValueError(
                f"{len(z_i)} embeddings have {len(pca.components)} components, not {k}"
            )
        kept = Pca(pca.mean, pca.components[:k], pca.variances[:k])
        coefficients = kept.project(z_i)
        self.mean.copy_(kept.mean)
        self.components.copy_(kept.components)
        self.low.copy_(coefficients.min(dim=0).values)
        self.high.copy_(coefficients.max(dim=0).values)
        shares = torch.arange(1, self.config.num_products) / self.config.num_products
        self.product_edges.copy_(torch.quantile((z_i * z_t).sum(-1), shares.to(z_i)))
        return kept

    def encode(self, z_i: Tensor) -> Tensor:
        """Return the codes int64 [n, k] of embeddings [n, d]; values out of range are clamped."""
        share = ((z_i - self.mean) @ self.components.T - self.low) / (self.high - self.low)
        top = self.config.num_buckets - 1
        return (share * self.config.num_buckets).floor().long().clamp(0, top)

    def decode(self, codes: Tensor) -> Tensor:
        """Return unit-length z_i [n, d] at the buckets' middles."""
        share = (codes + 0.5) / self.config.num_buckets
        coefficients = self.low + share * (self.high - self.low)
        return functional.normalize(self.mean + coefficients @ self.components, dim=-1)

    def product_token(self, z_i: Tensor, z_t: Tensor) -> Tensor:
        """Return the bucket int64 [n] of z_i . z_t."""
        return torch.bucketize((z_i * z_t).sum(-1), self.product_edges)

    def forward(
        self, text: tuple[Tensor, Tensor, Tensor], known: Tensor, product: Tensor, codes: Tensor
    ) -> Tensor:
        """Return logits of the next codes [b, j + 1, buckets] after the first j.

        Args:
            text: (z_t, states, mask) of `Clip.encode_text`.
            known: False where the text is dropped (null condition) [b].
            product: bucket of z_i . z_t [b].
            codes: the first codes [b, j], j from 0.
        """
        z_t, states, mask = text
        given = known[:, None]
        prefix = torch.where(given[..., None], self.states_in(states), self.null_state)
        z_text = torch.where(given, self.z_t_in(z_t * self.config.z_dim**0.5), self.null_z_t)
        tail = torch.stack([z_text, self.products(product)], dim=1)
        sequence = torch.cat([prefix, tail, self.codes(codes)], dim=1)
        length = sequence.shape[1]
        hidden = self.transformer(
            sequence + self.positions[:length], self._mask(mask, given, length)
        )
        return self.out(hidden[:, mask.shape[1] + NUM_PREFIX - 1 :])

    def _mask(self, mask: Tensor, given: Tensor, length: int) -> Tensor:
        """Causal, blind to padding; the null text is one token. [b, 1, length, length]."""
        first = torch.zeros_like(mask)
        first[:, 0] = True
        rest = torch.ones(len(mask), length - mask.shape[1], dtype=torch.bool, device=mask.device)
        columns = torch.cat([torch.where(given, mask, first), rest], dim=1)
        causal = torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=mask.device)
        return ((columns[:, None, :] & causal) | itself)[:, None]

    def loss(self, z_i: Tensor, text: tuple[Tensor, Tensor, Tensor], known: Tensor) -> Tensor:
        """Return the mean cross-entropy of the codes, in nats a code."""
        codes = self.encode(z_i)
        logits = self(text, known, self.product_token(z_i, text[0]), codes[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), codes.flatten())

    def sample(
        self,
        text: tuple[Tensor, Tensor, Tensor],
        noise_keys: Sequence[NoiseKey],
        *,
        guidance_scale: float = 1.0,
        candidates: int = 1,
        best_share: float = 0.5,
    ) -> Tensor:
        """Return unit-length z_i [b, d]: of the candidates, the one with the largest z_i . z_t.

        Args:
            text: (z_t, states, mask) of `Clip.encode_text`.
            noise_keys: (prompt id, seed) of each sample.
            guidance_scale: classifier-free, on the logits, 1 = off.
            candidates: how many z_i are drawn for each prompt.
            best_share: the token of z_i . z_t is drawn from so large a share of the best products
                (paper: the top half was best).
        """
        noise = KeyedNoise(noise_keys, "prior", self.mean.device)
        draws = torch.stack(
            [self._sample_one(text, noise, guidance_scale, best_share) for _ in range(candidates)]
        )
        best = (draws * text[0]).sum(-1).argmax(dim=0)
        return draws[best, torch.arange(len(best), device=best.device)]

    def _sample_one(
        self,
        text: tuple[Tensor, Tensor, Tensor],
        noise: KeyedNoise,
        guidance_scale: float,
        best_share: float,
    ) -> Tensor:
        # One uniform number a token, from keyed normals: the same z_i in any batch.
        u = torch.special.ndtr(noise.draw(self.config.num_components + 1).double())
        product = self.draw_product(u[:, 0], best_share)
        codes = product[:, None][:, :0]
        for j in range(self.config.num_components):
            logits = self._next(text, product, codes, guidance_scale)
            below = logits.double().softmax(dim=-1).cumsum(dim=-1)
            code = torch.searchsorted(below, u[:, j + 1 : j + 2].contiguous()).clamp(
                max=logits.shape[-1] - 1
            )
            codes = torch.cat([codes, code], dim=1)
        return self.decode(codes)

    def _next(
        self,
        text: tuple[Tensor, Tensor, Tensor],
        product: Tensor,
        codes: Tensor,
        guidance_scale: float,
    ) -> Tensor:
        """Return the guided logits of the next code [b, buckets], in one batched call."""
        known = torch.ones(len(product), dtype=torch.bool, device=product.device)
        if guidance_scale == 1:
            return self(text, known, product, codes)[:, -1]
        twice = tuple(torch.cat([part, part]) for part in text)
        both = self(twice, torch.cat([known, ~known]), product.repeat(2), codes.repeat(2, 1))
        conditional, null = both[:, -1].chunk(2)
        return null + guidance_scale * (conditional - null)

    def draw_product(self, u: Tensor, best_share: float) -> Tensor:
        """Turn uniform numbers [b] into product buckets of the best share."""
        n = self.config.num_products
        return ((1 - best_share * (1 - u)) * n).long().clamp(max=n - 1)
