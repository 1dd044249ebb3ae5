"""A frozen T5 encoder for Imagen's decoder (Saharia et al. 2022, §2.1), through transformers.

Optional: `transformers` is an extra, and the network comes from a folder of the user's, never from
the internet. `read_t5` brings such a folder's encoder and tokenizer into one part, a
safetensors file beside the others, so that one hash covers whatever reads a caption, and nothing is
unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reference_model.clip import TextEncoding
from reference_model.manifest import CheckpointError
from reference_model.variant_config import T5TextConfig

PART = "text-t5"
TOKENIZER = "tokenizer.json"
# What shapes a T5 encoder; all else of a config.json is of its decoder, or of its training.
FIELDS = (
    "vocab_size",
    "d_model",
    "d_kv",
    "d_ff",
    "num_layers",
    "num_heads",
    "relative_attention_num_buckets",
    "relative_attention_max_distance",
    "layer_norm_epsilon",
    "feed_forward_proj",
)


class T5Text(nn.Module):
    """Captions to T5's token states, and to their mean as the pooled text."""

    def __init__(self, config: T5TextConfig) -> None:
        super().__init__()
        self.config = config
        transformers = _transformers()
        shape = transformers.T5Config(**config.architecture)
        self.model = transformers.T5EncoderModel(shape)
        empty = torch.zeros(config.tokenizer_bytes, dtype=torch.uint8)
        self.register_buffer("tokenizer_json", empty)

    def encode_text(self, texts: Sequence[str]) -> TextEncoding:
        """Encode texts: the pooled text [n, d], token states [n, l, d] and their mask [n, l].

        Every text takes ``max_length`` tokens, so that none depends on its neighbours.
        """
        device = self.tokenizer_json.device
        encoded = self._tokenizer().encode_batch(list(texts))
        tokens = torch.tensor([one.ids for one in encoded], device=device)
        mask = torch.tensor([one.attention_mask for one in encoded], device=device).bool()
        states = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        real = mask[..., None].to(states)
        pooled = (states * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
        return TextEncoding(pooled, states, mask)

    def _tokenizer(self) -> Any:
        """Return the tokenizer that lies beside the tensors, at a fixed length."""
        from tokenizers import Tokenizer

        written = bytes(self.tokenizer_json.cpu().tolist()).decode("utf-8")
        tokenizer = Tokenizer.from_str(written)
        tokenizer.enable_truncation(self.config.max_length)
        tokenizer.enable_padding(length=self.config.max_length)
        return tokenizer


def read_t5(folder: Path, *, max_length: int = 128) -> tuple[T5TextConfig, dict[str, Tensor]]:
    """Read the encoder and the tokenizer of a T5 in transformers' layout.

    Args:
        folder: holds ``config.json``, ``tokenizer.json`` and safetensors files.
        max_length: tokens of a caption.

    Returns:
        The part's config, and its tensors.

    Raises:
        CheckpointError: the folder is no such T5; the message names the file.
    """
    config = _read_json(folder / "config.json")
    if config.get("model_type") != "t5":
        found = str(config.get("model_type"))[:40]
        raise CheckpointError(f"{folder} holds no T5: its config.json says {found!r}")
    _read_json(folder / TOKENIZER)
    tokenizer = (folder / TOKENIZER).read_bytes()
    transformers = _transformers()
    try:
        model = transformers.T5EncoderModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise CheckpointError(f"{folder} holds no T5 that can be read: {reason}") from None
    written = model.config.to_dict()
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors["tokenizer_json"] = torch.frombuffer(bytearray(tokenizer), dtype=torch.uint8)
    shaped = T5TextConfig(
        architecture={name: written[name] for name in FIELDS},
        tokenizer_bytes=len(tokenizer),
        max_length=max_length,
    )
    return shaped, tensors


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is no JSON object")
    return found


def _transformers() -> Any:
    """Return the library, or say how to get it."""
    try:
        import transformers
    except ImportError:
        raise CheckpointError(
            "a T5 text encoder needs transformers; install the extra dalle2eval[t5]"
        ) from None
    return transformers
