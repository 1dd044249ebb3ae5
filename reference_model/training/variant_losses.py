"""The loss of each part besides the main line: a function of the part, the data and the step."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_model.ar_prior import AutoregressivePrior
from reference_model.clip import Clip
from reference_model.training.stages import EmbeddedCaptions, generator


def prior_ar_loss(
    prior: AutoregressivePrior, clip: Clip, data: EmbeddedCaptions, *, batch_size: int, step: int
) -> Tensor:
    """Return the autoregressive prior's loss on cached embeddings; the text is dropped 10%."""
    source = generator(step, 8)
    rows = torch.randint(0, len(data.z_i), (batch_size,), generator=source)
    with torch.no_grad():
        z_t, states, mask = clip.encode_tokens(data.tokens[rows])
    known = torch.rand(batch_size, generator=source) >= prior.config.text_dropout
    text = (z_t.float(), states.float(), mask)
    return prior.loss(data.z_i[rows], text, known.to(z_t.device))
