"""Captions mean exactly one scene, and the held-out split stays where it was."""

import hashlib
from collections import Counter
from dataclasses import replace

import pytest

from dalle2eval.records import InputError
from dalle2eval.scenes.grammar import (
    KINDS,
    TEMPLATES,
    Scene,
    SceneObject,
    all_scenes,
    caption,
    facts,
    is_held_out,
    parse,
    scene_from_facts,
)
from dalle2eval.scenes.training_data import SceneSource
from dalle2eval.scenes.vocabulary import HELD_OUT_PAIRS, HELD_OUT_WORDS, SHAPES, WORDS

SCENES = {kind: tuple(all_scenes(kind)) for kind in KINDS}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_caption_is_parsed_back_into_its_scene(kind, template):
    scenes = SCENES[kind] if kind != "relation" else SCENES[kind][::7]
    wrong = [s for s in scenes if parse(caption(s, template)) != s]
    assert len(scenes) > 100
    assert wrong == []


def test_no_two_scenes_share_a_caption_in_any_template():
    captions = Counter(
        caption(scene, template)
        for scenes in SCENES.values()
        for scene in scenes
        for template in TEMPLATES
    )
    assert len(captions) == 5 * sum(map(len, SCENES.values()))


def test_kinds_are_told_apart_by_their_scenes():
    assert all(scene.kind == kind for kind, scenes in SCENES.items() for scene in scenes)


def test_facts_survive_json():
    for scenes in SCENES.values():
        for scene in scenes[::97]:
            assert scene_from_facts(facts(scene)) == scene


def test_sizes_and_plurals_are_parsed():
    asked = Scene(
        objects=(SceneObject(shape="cross", colour="red", size="small"),) * 3, counted=True
    )
    assert caption(asked) == "three small red crosses"
    assert parse("three small red crosses") == asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "red circle",
        "a orange circle",
        "two red circle",
        "one red circles",
        "five red circles",
        "a red circle and",
        'the word "cat" in red',
        'the word "KANGAROO" in red',
        "a picture of a picture of a red circle",
        "a red circle near a blue ring",
    ],
)
def test_what_is_no_caption_is_refused_and_not_guessed(text):
    with pytest.raises(InputError, match="not a caption"):
        parse(text)


def test_the_held_out_split_is_the_published_one():
    # Scenes may leave the split; one may join it only with new weights, for the bundled ones were
    # trained on all others. They were trained before 843 scenes left that have a trained mirror.
    # Command: sha256 of the sorted held-out captions, one a line.
    held_out = {kind: [s for s in scenes if is_held_out(s)] for kind, scenes in SCENES.items()}
    assert {kind: len(scenes) for kind, scenes in held_out.items()} == {
        "single": 18,
        "count": 45,
        "two-object": 494,
        "relation": 3288,
        "word": 168,
    }
    text = "\n".join(sorted(caption(s) for scenes in held_out.values() for s in scenes))
    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == "aa04ab190aa72fbb9418f923fce45ed47aa591f22c028ed510e2c99381c62bd0"
    )


def test_held_out_pairs_are_held_out_in_every_size_and_company():
    assert {shape for _, shape in HELD_OUT_PAIRS} == set(SHAPES)
    for scenes in (SCENES["single"], SCENES["two-object"]):
        for scene in scenes:
            pairs = {(item.colour, item.shape) for item in scene.objects}
            if pairs & HELD_OUT_PAIRS:
                assert is_held_out(scene)


def test_a_held_out_scene_is_held_out_by_every_name_that_it_has():
    """ "A above B" was kept from training, and "B below A", the same pictures, was trained on."""
    inverse = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    turned = 0
    for kind in ("two-object", "relation"):
        for scene in SCENES[kind]:
            if scene.relation is None or scene.relation in inverse:
                relation = inverse.get(scene.relation)
                other = replace(scene, objects=scene.objects[::-1], relation=relation)
                assert is_held_out(other) == is_held_out(scene)
                turned += 1
    assert turned > 10_000


def test_held_out_words_are_words_of_every_length():
    assert set(WORDS) >= HELD_OUT_WORDS
    assert {len(word) for word in HELD_OUT_WORDS} == {2, 3, 4, 5, 6}


def test_words_are_unique_capitals_of_two_to_six_letters():
    assert len(set(WORDS)) == len(WORDS)
    assert all(w.isascii() and w.isalpha() and w.isupper() and 2 <= len(w) <= 6 for w in WORDS)


def test_training_never_draws_a_held_out_scene():
    source = SceneSource(stream=1)
    captions = source.batch(0, 1500, 16).captions + source.contrastive_batch(0, 500, 16).captions
    scenes = [parse(text) for text in captions]
    assert {scene.kind for scene in scenes} == set(KINDS)
    assert not any(is_held_out(scene) for scene in scenes)
