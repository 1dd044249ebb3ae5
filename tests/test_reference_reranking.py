"""Reranking: of a caption's candidates the one stays that the stack's own CLIP likes best."""

import itertools

import numpy as np
import pytest
import torch

from reference_model import load
from reference_model.clip import Clip
from reference_model.decoder import Decoder
from reference_model.reranking import best_of, candidate_keys

FAST = {"prior_steps": 2, "prior_candidates": 1, "decoder_steps": 3}
PROMPTS, SEEDS = ["a red circle", "a blue star", "two green rings"], [0, 1, 2]


@pytest.fixture(scope="module")
def tiny():
    return load("tiny", device="cpu")


def similarity(model, images):
    return (model.encode_images(images) * model.encode_texts(PROMPTS)).sum(1)


def test_the_best_is_kept_for_each_caption_by_itself():
    """Candidate k of picture i is all k where i likes k: no caption may choose for another."""
    liked = torch.tensor([2, 0, 1])

    def draw(keys):
        number = [int(key.rpartition(" ")[2]) if "\0" in key else 0 for key, _ in keys]
        return torch.tensor(number, dtype=torch.float32)[:, None, None, None].expand(3, 3, 2, 2)

    def embed(pictures):
        return torch.nn.functional.one_hot(pictures[:, 0, 0, 0].long(), 3).float()

    z_t = torch.nn.functional.one_hot(liked, 3).float()
    kept = best_of(3, draw, embed, z_t, [("a", 0), ("b", 0), ("c", 0)])
    assert kept[:, 0, 0, 0].tolist() == liked.tolist()


def test_the_first_candidate_is_what_is_drawn_without_reranking():
    """Else an arm with reranking is not paired with the arm without."""
    keys = [("a", 0), ("b", 7)]
    assert candidate_keys(keys, 0) == keys
    assert len({*keys, *candidate_keys(keys, 1), *candidate_keys(keys, 2)}) == 6


def test_more_candidates_never_fit_the_caption_less(tiny):
    made = [tiny.generate(PROMPTS, SEEDS, decoder_candidates=k, **FAST) for k in (1, 2, 5)]
    scores = [similarity(tiny, images) for images in made]
    assert all((b >= a).all() for a, b in itertools.pairwise(scores))
    assert (scores[2] > scores[0]).any()


def test_the_kept_picture_is_the_same_in_another_batch(tiny):
    together = tiny.generate(PROMPTS, SEEDS, decoder_candidates=4, **FAST).astype(int)
    alone = [
        tiny.generate([prompt], [seed], decoder_candidates=4, **FAST)[0].astype(int)
        for prompt, seed in zip(PROMPTS, SEEDS, strict=True)
    ]
    assert np.abs(together - np.stack(alone)).max() <= 1


@pytest.mark.parametrize("steering", [{}, {"clip_guidance_scale": 1.0}])
def test_the_forecast_counts_every_candidate_and_every_look_of_clip(tiny, monkeypatch, steering):
    calls = []
    for owner, name in (
        (Decoder, "from_projected"),
        (Clip, "encode_images"),
        (Clip, "encode_text"),
    ):
        method = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda self, *a, m=method, **k: calls.append(1) or m(self, *a, **k)
        )
    changes = {"decoder_candidates": 3, "conditioning": "caption", **FAST, **steering}
    decoder = tiny.plan_stages(tiny.resolve_settings(changes))[1]
    tiny.generate(["a red circle"], [0], **changes)
    assert len(calls) == decoder.forward_passes


def test_the_weights_of_what_ranks_are_part_of_the_address(tiny):
    """Another CLIP keeps another picture, so a store must not take one for the other."""

    def named(**changes):
        return tiny.plan_stages(tiny.resolve_settings(changes))[1].weights

    clip = tiny.manifest.part("clip").identity
    assert clip in named(decoder_candidates=2)
    assert clip not in named()
