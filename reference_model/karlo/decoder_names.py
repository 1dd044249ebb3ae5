"""What stands around the decoder's U-Net: the projections of z_i, z_t and the text states."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from reference_model.karlo.config import KarloDecoderConfig
from reference_model.karlo.names import Source

# ours, diffusers (its text_proj), Karlo (in the decoder's own state dict)
PROJECTIONS = (
    ("z_to_vector", "clip_image_embeddings_project_to_time_embeddings", "clip_emb"),
    ("z_t_to_vector", "embedding_proj", "text_feat_proj"),
    ("text_to_context", "encoder_hidden_states_proj", "text_seq_proj.0"),
    ("context_norm", "text_encoder_hidden_states_norm", "text_seq_proj.1"),
)
NULL_Z = ("learned_classifier_free_guidance_embeddings", "cf_param")
Z_TOKENS = ("clip_extra_context_tokens_proj", "clip_tok_proj")


def projection_tensors(source: Source, config: KarloDecoderConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield our names and tensors of the projections, in either naming."""
    k = 0 if NULL_Z[0] in source else 1
    yield "null_z", source.take(NULL_Z[k])
    for ours, *names in PROJECTIONS:
        yield from source.layer(ours, names[k])
    for part in ("weight", "bias"):
        rows = source.take(f"{Z_TOKENS[k]}.{part}")
        # Theirs is read as [width, tokens], ours as [tokens, width].
        tokens = rows.view(config.unet.context_width, config.num_z_tokens, *rows.shape[1:])
        yield f"z_to_tokens.{part}", tokens.transpose(0, 1).reshape(rows.shape)
