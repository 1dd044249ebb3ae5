"""A tiny random OWLv2 goes through the mechanics; wrong folders are told before any work."""

import json

import numpy as np
import pytest

from dalle2eval.probes.detection import COLOURS, Found
from dalle2eval.probes.owlv2 import Owlv2, _in_pixels, _same
from dalle2eval.records import InputError

SIDE = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random OWLv2 of a few thousand weights, with a tokenizer of single letters."""
    torch = pytest.importorskip("torch")
    from transformers import (
        CLIPTokenizer,
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessor,
        Owlv2Processor,
    )

    place = tmp_path_factory.mktemp("owlv2")
    letters = [f"{c}{end}" for c in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    vocabulary = [*letters, "<|startoftext|>", "<|endoftext|>"]
    (place / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"))
    tokenizer.model_max_length = 40
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2}  # fmt: skip
    text = {**size, "vocab_size": len(vocabulary), "max_position_embeddings": 40,
            "bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1,
            "pad_token_id": len(vocabulary) - 1}  # fmt: skip
    config = Owlv2Config(
        text_config=text,
        vision_config={**size, "image_size": SIDE, "patch_size": 16},
        projection_dim=16,
    )
    torch.manual_seed(0)
    Owlv2ForObjectDetection(config).save_pretrained(place)
    images = Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE})
    Owlv2Processor(image_processor=images, tokenizer=tokenizer).save_pretrained(place)
    return place


def test_boxes_lie_inside_the_picture_and_bear_the_classes_asked_for(folder):
    detector = Owlv2(folder, threshold=0.0)
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    found = detector.detect(image, ["cat", "green bench"])
    assert found
    assert {item.label for item in found} <= {"cat", "green bench"}
    for item in found:
        left, top, right, bottom = item.box
        assert 0 <= left <= right <= 64
        assert 0 <= top <= bottom <= 40
    assert [f.confidence for f in found] == sorted((f.confidence for f in found), reverse=True)
    assert found == Owlv2(folder, threshold=0.0).detect(image, ["cat", "green bench"])
    assert set(detector.colours_of(image, found[:2])) <= set(COLOURS)


def test_nothing_is_found_above_certainty(folder):
    image = np.zeros((32, 32, 3), np.uint8)
    assert Owlv2(folder, threshold=1.1).detect(image, ["cat"]) == []


def test_its_name_bears_the_weights(folder):
    detector = Owlv2(folder)
    assert detector.name == f"owlv2@{detector.weights[:12]}"


def test_boxes_of_a_wide_picture_are_shares_of_its_padded_square():
    boxes = np.array([[0.5, 0.25, 0.5, 0.25]], np.float32)  # centre and sides
    assert _in_pixels(boxes, (50, 100)).tolist() == [[25, 12.5, 75, 37.5]]
    assert _in_pixels(np.array([[0.9, 0.9, 0.4, 0.4]], np.float32), (50, 100)).tolist() == [
        [70, 50, 100, 50],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("second", "label", "same"),
    [((0, 0, 10, 10), "a", True), ((0, 0, 10, 10), "b", False), ((0, 0, 10, 6), "a", True),
     ((0, 0, 10, 4), "a", False), ((20, 20, 30, 30), "a", False)],
)  # fmt: skip
def test_boxes_of_one_class_that_overlap_by_half_are_one_object(second, label, same):
    first = Found(label="a", confidence=1.0, box=(0.0, 0.0, 10.0, 10.0))
    other = Found(label=label, confidence=0.5, box=tuple(map(float, second)))
    assert _same(first, other) is same


def test_a_wrong_folder_is_told_in_one_line(tmp_path):
    for content, message in (
        (None, "no readable config.json"),
        ("[]", "no readable config.json"),
        ('{"model_type": "clip"}', "model_type is 'clip'; allowed: owlv2"),
        ('{"model_type": "owlv2"}', "no model.safetensors"),
    ):
        if content is not None:
            (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match=message):
            Owlv2(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        Owlv2(tmp_path / "none")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be loaded"):
        Owlv2(tmp_path).detect(np.zeros((8, 8, 3), np.uint8), ["cat"])
