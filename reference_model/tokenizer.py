"""CLIP's BPE with a compact vocabulary: an unknown token is spelled in bytes.

open_clip's tokenizer has 49,408 tokens; a small world uses a few hundred, and an embedding row that
training never touched says nothing. A `CompactTokenizer` keeps the rows that were seen, and spells
any other token by BPE's own 512 byte units (a byte inside a word, a byte at its end).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

NUM_BYTE_UNITS = 512
NUM_BYTES = 256
PAD = 0  # compact id of padding; start and end of text are the two highest ids


@functools.cache
def _bpe() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


class CompactTokenizer:
    """Texts to int64 [n, context_length]: start, tokens, end, padding.

    Args:
        vocabulary: ids of open_clip's BPE that have a row of their own, beyond the byte units.
        context_length: longer texts are cut, their end token kept.
    """

    def __init__(self, vocabulary: Sequence[int], context_length: int) -> None:
        self.vocabulary = tuple(vocabulary)
        self.context_length = context_length
        kept = [*range(NUM_BYTE_UNITS), *self.vocabulary]
        self._compact = {bpe_id: row + 1 for row, bpe_id in enumerate(kept)}
        self.start, self.end = len(kept) + 1, len(kept) + 2
        self.size = len(kept) + 3

    def __call__(
        self, texts: Sequence[str], *, spell_probability: float = 0.0, seed: int = 0
    ) -> Tensor:
        """Encode texts; with ``spell_probability`` > 0, spell that share of tokens at random.

        Spelling known tokens in training teaches the byte units (BPE-dropout, Provilkov et al.
        2020).
        """
        rng = np.random.Generator(np.random.PCG64(seed)) if spell_probability else None
        out = torch.full((len(texts), self.context_length), PAD, dtype=torch.int64)
        for row, text in enumerate(texts):
            ids = [self.start]
            for bpe_id in _bpe_ids(text):
                spell = rng is not None and rng.random() < spell_probability
                ids.extend(self._ids(bpe_id, spell=spell))
            ids = [*ids[: self.context_length - 1], self.end]
            out[row, : len(ids)] = torch.tensor(ids)
        return out

    def _ids(self, bpe_id: int, *, spell: bool) -> list[int]:
        if not spell and bpe_id in self._compact:
            return [self._compact[bpe_id]]
        return [self._compact[unit] for unit in _byte_units(bpe_id)]


@functools.lru_cache(maxsize=65536)
def _bpe_ids(text: str) -> tuple[int, ...]:
    return tuple(_bpe().encode(text))


@functools.lru_cache(maxsize=65536)
def _byte_units(bpe_id: int) -> tuple[int, ...]:
    """Split a BPE token into its byte units; the last of a word carries the end mark."""
    bpe = _bpe()
    token = bpe.decoder[bpe_id]
    ends = token.endswith("</w>")
    letters = list(token.removesuffix("</w>"))
    if ends:
        letters[-1] += "</w>"
    return tuple(bpe.encoder[letter] for letter in letters)


def vocabulary_of(texts: Iterable[str]) -> tuple[int, ...]:
    """Return the BPE ids (beyond the byte units) that occur in the texts, ascending."""
    seen = {bpe_id for text in texts for bpe_id in _bpe_ids(text)}
    return tuple(sorted(bpe_id for bpe_id in seen if bpe_id >= NUM_BYTE_UNITS))


class ByteTokenizer:
    """Texts to int64 [n, context_length]: start, the UTF-8 bytes, end, padding.

    The alternative to BPE for text rendering: BPE shows the model words, not letters, which the
    paper blames for its misspelt signs (§7). Sequences are about four times as long.

    Args:
        context_length: longer texts are cut, their end token kept.
    """

    vocabulary: tuple[int, ...] = ()

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length
        self.start, self.end = NUM_BYTES + 1, NUM_BYTES + 2
        self.size = NUM_BYTES + 3

    def __call__(
        self, texts: Sequence[str], *, spell_probability: float = 0.0, seed: int = 0
    ) -> Tensor:
        """Encode texts; they are spelled as they are, so the other arguments change nothing."""
        out = torch.full((len(texts), self.context_length), PAD, dtype=torch.int64)
        for row, text in enumerate(texts):
            letters = [byte + 1 for byte in text.encode()]
            ids = [self.start, *letters[: self.context_length - 2], self.end]
            out[row, : len(ids)] = torch.tensor(ids)
        return out
