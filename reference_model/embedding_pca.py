"""The principal components of a CLIP's embeddings z_i, kept as a part of its weights.

The paper decodes z_i rebuilt from its first components (§4.1, Fig. 7) to see what they hold. They
belong to one CLIP and its pictures: measured once (`training.embedding_pca`), they lie beside the
weights with a hash of their own, and a picture stays a function of its arm, prompt, seed and
weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_model.config import EmbeddingPcaConfig
from reference_model.pca import Pca, reconstruct


class EmbeddingPca(nn.Module):
    """All principal components of one CLIP's z_i, as a part that is loaded like any other."""

    mean: Tensor
    components: Tensor
    variances: Tensor

    def __init__(self, config: EmbeddingPcaConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.z_dim))
        self.register_buffer("components", torch.eye(config.z_dim))
        self.register_buffer("variances", torch.ones(config.z_dim))

    def rebuilt(self, z_i: Tensor, num_components: int) -> Tensor:
        """Return z_i [n, d] of unit length from their first components."""
        return reconstruct(Pca(self.mean, self.components, self.variances), z_i, num_components)
