"""The ADM U-Net (Dhariwal & Nichol 2021, arXiv 2105.05233) of decoder and upsamplers.

Residual blocks with timestep-dependent scale and shift (AdaGN), resampling inside residual blocks
(BigGAN), and attention whose keys also hold the context tokens (GLIDE). A pixel-unshuffle before
the stem lets a small network work on a coarser grid. Resolution-free: without attention it is
convolutional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.config import UnetConfig
from reference_model.layers import conv_of_enlarged, scaled_norm, silu
from reference_model.transformer import attend, timestep_embedding


def norm(channels: int, groups: int) -> nn.GroupNorm:
    """Return a GroupNorm; 0 groups means as many of ADM's 32 as leave four channels in each."""
    if groups == 0:
        groups = max(g for g in (32, 16, 8, 4, 2, 1) if channels % g == 0 and channels // g >= 4)  # noqa: PLR2004
    return nn.GroupNorm(groups, channels)


def zeroed(module: nn.Module) -> nn.Module:
    """Zero the last layer of a branch, so that every block starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class ResBlock(nn.Module):
    """Two convolutions with a timestep between them; may halve or double the grid.

    The timestep scales and shifts the second norm's output (AdaGN), or is added before it (AddGN).
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        emb_width: int,
        config: UnetConfig,
        *,
        resample: str = "none",
    ) -> None:
        super().__init__()
        self.resample, self.scale_shift = resample, config.scale_shift
        self.norm_1 = norm(channels, config.norm_groups)
        self.conv_1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.emb = nn.Linear(emb_width, (2 if config.scale_shift else 1) * out_channels)
        self.norm_2 = norm(out_channels, config.norm_groups)
        self.conv_2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        same = channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map [b, c, h, w] and emb [b, e] to [b, out, h', w']."""
        h = silu(self.norm_1(x))
        up = self.resample == "up"
        h = conv_of_enlarged(self.conv_1, h) if up else self.conv_1(self._resample(h))
        time = self.emb(functional.silu(emb))
        if self.scale_shift:
            h = scaled_norm(self.norm_2, h, *time.chunk(2, dim=1))
        else:
            h = self.norm_2(h + time[:, :, None, None])
        return self.skip(self._resample(x)) + self.conv_2(silu(h))

    def _resample(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return functional.avg_pool2d(x, 2)
        if self.resample == "up":
            return functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return x


class AttentionBlock(nn.Module):
    """Self-attention over the grid whose keys and values also hold the context tokens."""

    def __init__(self, channels: int, config: UnetConfig) -> None:
        super().__init__()
        self.heads = channels // config.head_channels
        self.norm = norm(channels, config.norm_groups)
        self.qkv = nn.Linear(channels, 3 * channels)
        width = config.context_width
        self.context_kv = nn.Linear(width, 2 * channels) if width else None
        self.out = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context_kv: Tensor | None, mask: Tensor | None) -> Tensor:
        """Map [b, c, h, w]; context_kv of `project`, mask [b, l] True where a token is real."""
        b, c, h, w = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [b, hw, c]
        q, k, v = self._heads(self.qkv(tokens), 3)
        allowed = None
        if context_kv is not None:
            context_k, context_v = context_kv.unbind(1)
            k, v = torch.cat([context_k, k], dim=2), torch.cat([context_v, v], dim=2)
            if mask is not None:
                grid = torch.ones(b, h * w, dtype=torch.bool, device=x.device)
                allowed = torch.cat([mask, grid], dim=1)[:, None, None, :]
        y = attend(q, k, v, allowed)
        y = self.out(y.transpose(1, 2).reshape(b, h * w, c))
        return x + y.transpose(1, 2).reshape(b, c, h, w)

    def project(self, context: Tensor) -> Tensor:
        """Return keys and values of context [b, l, width] as one [b, 2, heads, l, c / heads]."""
        if self.context_kv is None:
            raise ValueError("this attention reads no context: its context_width is 0")
        return self._heads(self.context_kv(context), 2).movedim(0, 1)

    def _heads(self, x: Tensor, parts: int) -> Tensor:
        """Split [b, l, parts * c] into ``parts`` tensors [b, heads, l, c / heads]."""
        b, length, _ = x.shape
        return x.view(b, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4)


class Level(nn.Module):
    """A residual block, with attention behind it where the level has it."""

    def __init__(self, block: ResBlock, attention: AttentionBlock | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(
        self, x: Tensor, emb: Tensor, context_kv: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """Map [b, c, h, w] to [b, out, h', w']."""
        x = self.block(x, emb)
        return x if self.attention is None else self.attention(x, context_kv, mask)


def project_for(levels: Iterable[Level], context: Tensor) -> tuple[Tensor, ...]:
    """Return keys and values of the context for each attention, in the order of the levels."""
    attentions = (level.attention for level in levels if level.attention is not None)
    return tuple(a.project(context) for a in attentions if a.context_kv is not None)


def runner(
    emb: Tensor, context_kv: Sequence[Tensor], mask: Tensor | None
) -> Callable[[Level, Tensor], Tensor]:
    """Return what runs levels in the order of `project_for`, each with its own keys and values."""
    left = list(context_kv)

    def run(level: Level, h: Tensor) -> Tensor:
        reads = left and level.attention is not None
        return level(h, emb, left.pop(0) if reads else None, mask)

    return run


class Unet(nn.Module):
    """A U-Net from (x_t, t, vector, context, low-resolution picture) to an output shaped like x_t.

    With a learned variance the output has twice the channels: the target, then the variance.

    Args:
        config: its shape.
        image_channels: of x_t and of the target.
    """

    def __init__(self, config: UnetConfig, image_channels: int = 3) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels * m for m in config.multipliers]
        emb_width = config.embedding_multiplier * config.channels
        self.time = nn.Sequential(
            nn.Linear(config.channels, emb_width), nn.SiLU(), nn.Linear(emb_width, emb_width)
        )
        self.vector = vector_in(config, emb_width)
        patch_channels = image_channels * config.patch**2
        stem_in = patch_channels + config.condition_channels
        self.stem = nn.Conv2d(stem_in, widths[0], 3, padding=1)
        self.down, skips = self._build_down(widths, emb_width)
        self.middle = nn.ModuleList(
            [
                self._level(widths[-1], widths[-1], len(widths) - 1, emb_width),
                Level(ResBlock(widths[-1], widths[-1], emb_width, config), None),
            ]
        )
        self.up = self._build_up(widths, emb_width, skips)
        self.out_norm = norm(widths[0], config.norm_groups)
        out_channels = (2 if config.learned_variance else 1) * patch_channels
        self.out = zeroed(nn.Conv2d(widths[0], out_channels, 3, padding=1))

    def _level(self, channels: int, out: int, index: int, emb_width: int) -> Level:
        c = self.config
        attention = None
        if index in c.attention_levels:
            attention = AttentionBlock(out, c)
        return Level(ResBlock(channels, out, emb_width, c), attention)

    def _build_down(self, widths: list[int], emb_width: int) -> tuple[nn.ModuleList, list[int]]:
        """Return the way down, and the channels of the skip connections it leaves."""
        levels, skips, channels = nn.ModuleList(), [widths[0]], widths[0]
        for index, width in enumerate(widths):
            for _ in range(self.config.depth):
                levels.append(self._level(channels, width, index, emb_width))
                channels = width
                skips.append(channels)
            if index < len(widths) - 1:
                halve = ResBlock(channels, channels, emb_width, self.config, resample="down")
                levels.append(Level(halve, None))
                skips.append(channels)
        return levels, skips

    def _build_up(self, widths: list[int], emb_width: int, skips: list[int]) -> nn.ModuleList:
        """Return the way up: each group takes a skip; the last of a level doubles the grid."""
        levels, channels, skips = nn.ModuleList(), widths[-1], list(skips)
        for index in reversed(range(len(widths))):
            for _ in range(self.config.depth + 1):
                levels.append(self._level(channels + skips.pop(), widths[index], index, emb_width))
                channels = widths[index]
            if index > 0:
                double = ResBlock(channels, channels, emb_width, self.config, resample="up")
                levels.append(Level(double, None))
        return levels

    def project_context(self, context: Tensor) -> tuple[Tensor, ...]:
        """Return every attention's keys and values of context [b, l, context_width].

        They depend on neither x_t nor t, so a sampler makes them once for all its steps.
        """
        return project_for((*self.down, *self.middle, *self.up), context)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        *,
        vector: Tensor | None = None,
        context: Tensor | None = None,
        context_kv: Sequence[Tensor] | None = None,
        context_mask: Tensor | None = None,
        low: Tensor | None = None,
    ) -> Tensor:
        """Predict the target.

        Args:
            x_t: noisy pictures [b, c, h, w]; h and w divisible by patch * 2**(levels - 1).
            t: timesteps [b].
            vector: added to the timestep embedding [b, vector_width].
            context: tokens that attention also looks at [b, l, context_width].
            context_kv: of `project_context`, in place of the context.
            context_mask: True where a context token is real [b, l].
            low: low-resolution picture on the stem's grid [b, condition_channels, h/patch,
                w/patch].
        """
        if context_kv is None:
            context_kv = () if context is None else self.project_context(context)
        emb = self.time(timestep_embedding(t, self.config.channels))
        if self.vector is not None and vector is not None:
            emb = emb + self.vector(vector)
        run = runner(emb, context_kv, context_mask)
        h = functional.pixel_unshuffle(x_t, self.config.patch)
        h = self.stem(h if low is None else torch.cat([h, low], dim=1))
        skips = [h]
        for level in self.down:
            h = run(level, h)
            skips.append(h)
        for level in self.middle:
            h = run(level, h)
        for level in self.up:
            takes_skip = level.block.resample == "none"
            h = torch.cat([h, skips.pop()], dim=1) if takes_skip else h
            h = run(level, h)
        h = self.out(silu(self.out_norm(h)))
        return functional.pixel_shuffle(h, self.config.patch)


def vector_in(config: UnetConfig, emb_width: int) -> nn.Module | None:
    """Return what brings the vector to the timestep embedding's width.

    Raises:
        ValueError: it shall be added as it is and has another width.
    """
    if not config.vector_width:
        return None
    if config.project_vector:
        return nn.Linear(config.vector_width, emb_width)
    if config.vector_width != emb_width:
        raise ValueError(f"vector_width is {config.vector_width}; unprojected it is {emb_width}")
    return nn.Identity()
