"""CLIP's symmetric contrastive loss (Radford et al. 2021, Fig. 3); equal captions attract.

In a small world two images of a batch often share a caption; the usual one-hot target would punish
the network for being right, so the target is spread over all equal captions.

The loss compares all images of a batch with all captions, also where a batch is computed in passes
or by several processes: embeddings of the other rows are made without gradients first (GradCache,
Gao et al. 2021, arXiv 2101.06983), which gives the gradient of the whole batch exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reference_model.clip import Clip, to_model_range
from reference_model.training.data import CaptionedBatch, CaptionedImages
from reference_model.training.processes import gathered
from reference_model.training.rows import Rows

SPELL_PROBABILITY = (
    0.15  # share of tokens spelled in bytes, so that unseen words have trained units
)
MAX_LOGIT_SCALE = 100.0


class ContrastiveLoss:
    """The loss of a step's batch, computed by some of its rows."""

    def __init__(self, clip: Clip, data: CaptionedImages) -> None:
        self.clip, self.data = clip, data
        self._known: tuple[int, Tensor, Tensor] | None = None

    def __call__(self, rows: Rows) -> Tensor:
        """Return the loss of the whole batch, whose gradient is that of ``rows``."""
        batch = self._batch(rows, rows.range)
        z_i, z_t, scale = self._embed(batch, rows, rows.range)
        if len(rows) < rows.batch_size:
            z_i, z_t = self._among_all(rows, z_i, z_t)
        logits = scale.clamp(max=MAX_LOGIT_SCALE) * z_i.float() @ z_t.float().T
        target = same_caption(batch.captions).to(logits.device)
        target = target / target.sum(dim=1, keepdim=True)
        images = functional.cross_entropy(logits, target)
        return (images + functional.cross_entropy(logits.T, target)) / 2

    def _batch(self, rows: Rows, chosen: range) -> CaptionedBatch:
        size = self.clip.config.image_size
        return self.data.contrastive_batch(rows.start, rows.batch_size, size, rows=chosen)

    def _embed(
        self, batch: CaptionedBatch, rows: Rows, chosen: range
    ) -> tuple[Tensor, Tensor, Tensor]:
        tokens = self.clip.tokenizer(
            batch.captions, spell_probability=SPELL_PROBABILITY, seed=rows.step
        )
        images = to_model_range(batch.images, self.clip.device)
        return self.clip(images, tokens[chosen.start : chosen.stop].to(self.clip.device))

    def _among_all(self, rows: Rows, z_i: Tensor, z_t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings of the whole batch; only those of ``rows`` have a gradient."""
        others_i, others_t = self._without_gradients(rows, z_i, z_t)
        return _inserted(others_i, z_i, rows), _inserted(others_t, z_t, rows)

    def _without_gradients(self, rows: Rows, z_i: Tensor, z_t: Tensor) -> tuple[Tensor, Tensor]:
        if rows.own_last - rows.own_first == len(rows):
            return gathered(z_i), gathered(z_t)
        if self._known is None or self._known[0] != rows.step:
            parts = []
            with torch.no_grad():
                for first in range(rows.own_first, rows.own_last, len(rows)):
                    chosen = range(first, first + len(rows))
                    parts.append(self._embed(self._batch(rows, chosen), rows, chosen)[:2])
            own_i, own_t = (torch.cat(z) for z in zip(*parts, strict=True))
            self._known = (rows.step, gathered(own_i), gathered(own_t))
        return self._known[1:]


def _inserted(others: Tensor, own: Tensor, rows: Rows) -> Tensor:
    """Put the own rows among all; the mean over passes must not make their gradient smaller."""
    if own.requires_grad:
        own.register_hook(lambda gradient: gradient / rows.share)
    return torch.cat([others[: rows.first], own, others[rows.last :]])


def same_caption(captions: list[str]) -> Tensor:
    """Return float [n, n], 1 where two captions are equal."""
    number = {text: k for k, text in enumerate(dict.fromkeys(captions))}
    ids = torch.tensor([number[text] for text in captions])
    return (ids[:, None] == ids[None, :]).float()
