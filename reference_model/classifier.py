"""A classifier that knows noise, for classifier guidance (Dhariwal & Nichol 2021, §4 and App. H).

The way down of the U-Net with its timestep, then attention pooling by a learned query. Trained on
noised pictures at all timesteps, its log p(y | x_t) has a gradient that is worth following at each
(`diffusion.gradient_guidance.classifier_guided`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.diffusion.gradient_guidance import LogLikelihood, target_log_probability
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import q_sample
from reference_model.transformer import timestep_embedding
from reference_model.unet import Unet
from reference_model.variant_config import ClassifierConfig


class NoisyClassifier(nn.Module):
    """Noised pictures and timesteps to logits of classes."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        whole = Unet(config.unet)
        self.time, self.stem, self.down = whole.time, whole.stem, whole.down
        width = config.unet.channels * config.unet.multipliers[-1]
        self.norm = nn.GroupNorm(1, width)
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, len(config.classes))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Return logits [b, classes] of pictures [b, 3, h, w] at timesteps [b]."""
        emb = self.time(timestep_embedding(t, self.config.unet.channels))
        h = self.stem(functional.pixel_unshuffle(x_t, self.config.unet.patch))
        for level in self.down:
            h = level(h, emb, None, None)
        tokens = functional.silu(self.norm(h)).flatten(2).transpose(1, 2)  # [b, hw, width]
        keys, values = self.key_value(tokens).chunk(2, dim=-1)
        query = self.query.to(keys.dtype).expand(len(h), 1, -1)
        pooled = functional.scaled_dot_product_attention(query, keys, values)
        return self.out(pooled[:, 0])

    def log_likelihood(self, labels: Tensor) -> LogLikelihood:
        """Return log p(labels | x_t) as a function of (x_t, t), for guidance."""
        # Tensors made under inference mode could take no part in a gradient.
        with torch.inference_mode(mode=False):
            wanted = labels.clone()
        return lambda x_t, t: target_log_probability(self(x_t, t), wanted)


def classifier_loss(
    classifier: NoisyClassifier,
    schedule: Schedule,
    batch: tuple[Tensor, Tensor],
    source: torch.Generator,
) -> Tensor:
    """Return the cross-entropy on noised pictures.

    Args:
        classifier: in training.
        schedule: of the diffusion model that it shall guide.
        batch: pictures [b, 3, h, w] in [-1, 1], labels [b].
        source: of timesteps and noise.
    """
    x0, labels = batch
    t = torch.randint(schedule.num_timesteps, (len(x0),), generator=source).to(x0.device)
    eps = torch.randn(x0.shape, generator=source).to(x0.device)
    return functional.cross_entropy(classifier(q_sample(x0, eps, schedule.at(t, x0)), t), labels)
