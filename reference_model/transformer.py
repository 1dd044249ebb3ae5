"""A pre-norm transformer, shared by the prior (causal) and the text encoder (not causal)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return softmax(q k^T / sqrt(d)) v for [b, heads, l, d]; allowed is True where q may look.

    torch's fused kernel, but where a CPU trains in bfloat16: its backward pass is four times slower
    there than three plain operations.
    """
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not slow:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(dim=-1) @ v


class Attention(nn.Module):
    """Multi-head self-attention with an optional boolean mask (True = may look)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None, past: Tensor | None = None) -> Tensor:
        """Map [b, l, width] to the same shape; ``past`` is of `keys_values`, of tokens before x."""
        b, length, width = x.shape
        q, k, v = self.qkv(x).view(b, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = (torch.cat(pair, dim=2) for pair in zip(past.unbind(1), (k, v), strict=True))
        x = attend(q, k, v, mask)
        return self.out(x.transpose(1, 2).reshape(b, length, width))

    def keys_values(self, x: Tensor) -> Tensor:
        """Return the keys and values of [b, l, width] as one [b, 2, heads, l, width / heads]."""
        b, length, width = x.shape
        weight, bias = self.qkv.weight[width:], self.qkv.bias[width:]
        kv = functional.linear(x, weight, bias).view(b, length, 2, self.heads, -1)
        return kv.permute(0, 2, 3, 1, 4)


class Block(nn.Module):
    """Attention and a four times wider GELU network, each behind LayerNorm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, mask: Tensor | None, past: Tensor | None = None) -> Tensor:
        """Map [b, l, width] to the same shape."""
        x = x + self.attention(self.norm_1(x), mask, past)
        return x + self.mlp(self.norm_2(x))


class Transformer(nn.Module):
    """A stack of blocks and a final LayerNorm."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.final_norm = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, past: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Map [b, l, width] to the same shape.

        Args:
            x: tokens.
            mask: [b, 1, l, l], True where q may look at k; with a past [b, 1, l, past + l].
            past: of `remember`, for the tokens that stand before x.
        """
        for k, block in enumerate(self.blocks):
            x = block(x, mask, None if past is None else past[k])
        return self.final_norm(x)

    def remember(self, x: Tensor, mask: Tensor) -> list[Tensor]:
        """Return every block's keys and values of [b, l, width], each [b, 2, heads, l, d].

        Where no token looks ahead they are the same whatever follows, so what follows can be run
        by itself, again and again, with these as its past.
        """
        remembered = []
        for k, block in enumerate(self.blocks):
            remembered.append(block.attention.keys_values(block.norm_1(x)))
            if k + 1 < len(self.blocks):
                x = block(x, mask)
        return remembered


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Return features [b, width] of timesteps [b], cosines first (Vaswani et al. 2017)."""
    half = width // 2
    frequencies = torch.exp(
        -math.log(10_000) * torch.arange(half, dtype=torch.float32, device=t.device) / half
    )
    angles = t.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
