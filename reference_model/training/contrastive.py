"""CLIP's symmetric contrastive loss (Radford et al. 2021, Fig. 3); equal captions attract.

In a small world two images of a batch often share a caption; the usual one-hot target would punish
the network for being right, so the target is spread over all equal captions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reference_model.clip import Clip, to_model_range
from reference_model.training.data import CaptionedImages

SPELL_PROBABILITY = (
    0.15  # share of tokens spelled in bytes, so that unseen words have trained units
)
MAX_LOGIT_SCALE = 100.0


def contrastive_loss(clip: Clip, data: CaptionedImages, *, batch_size: int, step: int) -> Tensor:
    """Return the loss of one step's batch."""
    batch = data.contrastive_batch(step * batch_size, batch_size, clip.config.image_size)
    tokens = clip.tokenizer(batch.captions, spell_probability=SPELL_PROBABILITY, seed=step)
    z_i, z_t, scale = clip(to_model_range(batch.images, clip.device), tokens.to(clip.device))
    logits = scale.clamp(max=MAX_LOGIT_SCALE) * z_i.float() @ z_t.float().T
    target = same_caption(batch.captions).to(logits.device)
    target = target / target.sum(dim=1, keepdim=True)
    both = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    return both / 2


def same_caption(captions: list[str]) -> Tensor:
    """Return float [n, n], 1 where two captions are equal."""
    number = {text: k for k, text in enumerate(dict.fromkeys(captions))}
    ids = torch.tensor([number[text] for text in captions])
    return (ids[:, None] == ids[None, :]).float()
