"""Imagen's Efficient U-Net (Saharia et al. 2022, arXiv 2205.11487, App. B), for upsamplers.

Against ADM's: residual blocks move from the fine levels to the coarse ones (`UnetConfig.depths`); a
level halves the grid before its blocks and doubles it after them, so that no block works on the
finer grid; what skips a level is scaled by 1/sqrt 2. The paper reports two to three times the
speed. Each level leaves one skip, and the coarsest none, as there is nothing to skip.

Ours differs in this: the timestep enters every block (ADM) and not once a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.config import UnetConfig
from reference_model.transformer import timestep_embedding
from reference_model.unet import (
    AttentionBlock,
    Level,
    ResBlock,
    Unet,
    norm,
    project_for,
    runner,
    vector_in,
    zeroed,
)

SKIP_SCALE = 2**-0.5


class EfficientUnet(nn.Module):
    """A U-Net with the contract of `unet.Unet`: the two are exchangeable.

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
        first = config.channels
        self.stem = nn.Conv2d(patch_channels + config.condition_channels, first, 3, padding=1)
        depths = config.depths or (config.depth,) * len(widths)
        above = [first, *widths[:-1]]  # width on the finer side of each level
        self.halvings = nn.ModuleList(
            nn.Conv2d(fine, width, 3, stride=2, padding=1)
            for fine, width in zip(above, widths, strict=True)
        )
        self.down = nn.ModuleList(
            self._blocks(index, width, width, depths[index], emb_width)
            for index, width in enumerate(widths)
        )
        last = len(widths) - 1
        self.up = nn.ModuleList(
            self._blocks(index, width if index == last else 2 * width, width, depths[index],
                         emb_width)
            for index, width in enumerate(widths)
        )  # fmt: skip
        self.doublings = nn.ModuleList(
            nn.Conv2d(width, fine, 3, padding=1) for fine, width in zip(above, widths, strict=True)
        )
        self.out_norm = norm(first, config.norm_groups)
        out_channels = (2 if config.learned_variance else 1) * patch_channels
        self.out = zeroed(nn.Conv2d(first, out_channels, 3, padding=1))

    def _blocks(
        self, index: int, channels: int, width: int, depth: int, emb_width: int
    ) -> nn.ModuleList:
        """Return the residual blocks of a level, attention behind the last where it has it."""
        blocks = [
            ResBlock(channels if number == 0 else width, width, emb_width, self.config)
            for number in range(depth)
        ]
        attends = index in self.config.attention_levels
        attention = AttentionBlock(width, self.config) if attends else None
        return nn.ModuleList(
            Level(block, attention if number == depth - 1 else None)
            for number, block in enumerate(blocks)
        )

    def project_context(self, context: Tensor) -> tuple[Tensor, ...]:
        """Return every attention's keys and values of the context; see `unet.Unet`."""
        return project_for(chain(*self.down, *reversed(self.up)), context)

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
        """Predict the target; see `unet.Unet.forward`.

        Args:
            x_t: noisy pictures [b, c, h, w]; h and w divisible by patch * 2**levels.
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
        skips = []
        for halve, blocks in zip(self.halvings, self.down, strict=True):
            h = halve(h)
            for block in blocks:
                h = run(block, h)
            skips.append(h)
        skips[-1] = None
        for blocks, double in reversed(list(zip(self.up, self.doublings, strict=True))):
            skip = skips.pop()
            h = h if skip is None else torch.cat([h, skip * SKIP_SCALE], dim=1)
            for block in blocks:
                h = run(block, h)
            h = double(functional.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = self.out(functional.silu(self.out_norm(h)))
        return functional.pixel_shuffle(h, self.config.patch)


def build_unet(config: UnetConfig, image_channels: int = 3) -> Unet | EfficientUnet:
    """Return the U-Net that a config describes: ADM's, or the efficient one."""
    return (EfficientUnet if config.efficient else Unet)(config, image_channels)
