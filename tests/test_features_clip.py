"""Our CLIP score is open_clip's, by its own preprocessing; and nothing of it comes from a hub."""

from __future__ import annotations

import json

import numpy as np
import pytest
from image_files import picture

from dalle2eval.features.choosing import open_extractors
from dalle2eval.features.open_clip_extractor import offline
from dalle2eval.metrics import clip_score
from dalle2eval.records import InputError

TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16,
        },
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2,
        },
    },
    "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "resize_mode": "squash"},
}  # fmt: skip
PROMPTS = ["a red circle", "two blue squares " * 60]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a tiny CLIP of random weights as open_clip would save it."""
    torch = pytest.importorskip("torch")
    import open_clip

    place = tmp_path_factory.mktemp("clip")
    (place / "open_clip_config.json").write_text(json.dumps(TINY))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{place}", load_weights=False)
    torch.save(model.state_dict(), place / "open_clip_pytorch_model.bin")
    return place


def test_a_clip_score_is_the_one_by_hand(folder):
    import open_clip
    import torch
    from PIL import Image

    images = [picture(1, 50, 41), picture(2, 64, 64)]
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(PROMPTS)
    with torch.inference_mode():
        pixels = torch.stack([preprocess(Image.fromarray(image)) for image in images])
        by_hand = torch.cosine_similarity(
            model.eval().encode_image(pixels), model.encode_text(tokens)
        )
    (ours,) = open_extractors([f"clip:{folder}"], device="cpu", open_judge=lambda: None)
    features = ours.embed([ours.prepare(image) for image in images])
    found = clip_score(features, ours.embed_texts(PROMPTS))
    np.testing.assert_allclose(found, 100 * by_hand.numpy(), rtol=1e-5, atol=1e-5)


def test_a_checkpoint_that_runs_code_is_refused(folder, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    for name in ("open_clip_config.json",):
        (tmp_path / name).write_text((folder / name).read_text())
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps({"state_dict": Evil()}, 2))
    (evil,) = open_extractors([f"clip:{tmp_path}"], device="cpu", open_judge=lambda: None)
    with pytest.raises(InputError, match="open_clip cannot load it"):
        evil.prepare(picture())
    assert not (tmp_path / "touched").exists()


def test_an_unknown_tag_is_answered_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setenv("DALLE2EVAL_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match='did you mean "clip:ViT-B-32/laion2b_s34b_b79k"'):
        open_extractors(["clip:ViT-B-32/laion2b_s34b_b79"], device="cpu", open_judge=lambda: None)
    with pytest.raises(InputError, match="weights add clip:ViT-B-32/openai FILE"):
        open_extractors(["clip:ViT-B-32/openai"], device="cpu", open_judge=lambda: None)


def test_the_hub_is_out_of_reach_while_a_model_loads():
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    with offline(), pytest.raises((LocalEntryNotFoundError, OfflineModeIsEnabled)):
        huggingface_hub.hf_hub_download("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "config.json")
