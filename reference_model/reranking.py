"""Reranking: several pictures of a caption are drawn, and the one that CLIP likes best is kept.

DALL-E keeps the best of 512 so (Ramesh et al. 2021, arXiv 2102.12092, §2.6); this paper does it
with two z_i in the prior (§2.2). What ranks is the stack's own CLIP, which never judges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reference_model.diffusion.noise import NoiseKey


def candidate_keys(noise_keys: Sequence[NoiseKey], candidate: int) -> list[NoiseKey]:
    """Return the noise keys of each picture's candidate.

    The first is what is drawn without reranking, and no candidate depends on how many there are, so
    the best of 8 is chosen from the best of 4's candidates and four more.
    """
    if candidate == 0:
        return list(noise_keys)
    return [(f"{prompt_id}\0candidate {candidate}", seed) for prompt_id, seed in noise_keys]


def best_of(
    candidates: int,
    draw: Callable[[Sequence[NoiseKey]], Tensor],
    embed: Callable[[Tensor], Tensor],
    z_t: Tensor,
    noise_keys: Sequence[NoiseKey],
) -> Tensor:
    """Return, of each caption's candidates, the picture with the largest z_i . z_t.

    Args:
        candidates: how many are drawn for each picture.
        draw: noise keys to pictures [b, 3, h, w] in [-1, 1], one batch of candidates.
        embed: pictures to unit-length z_i [b, d].
        z_t: unit-length text embeddings [b, d].
        noise_keys: (prompt id, seed) of each picture.
    """
    best = draw(candidate_keys(noise_keys, 0))
    highest = (embed(best) * z_t).sum(-1)
    for candidate in range(1, candidates):
        pictures = draw(candidate_keys(noise_keys, candidate))
        score = (embed(pictures) * z_t).sum(-1)
        better = score > highest
        best = torch.where(better[:, None, None, None], pictures, best)
        highest = torch.maximum(score, highest)
    return best
