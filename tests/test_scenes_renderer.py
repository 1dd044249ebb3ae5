"""Pictures are pure functions of scene, seed and size, and mean the same at every size."""

import numpy as np
import pytest

from dalle2eval.scenes.grammar import KINDS, Scene, SceneObject, all_scenes, parse
from dalle2eval.scenes.layout import MARGIN, Layout, Placed, extent, place
from dalle2eval.scenes.relations import relation_between
from dalle2eval.scenes.renderer import draw, render
from dalle2eval.scenes.selftest import sample_scenes
from dalle2eval.scenes.shape_classifier import AREAS
from dalle2eval.scenes.vocabulary import BACKGROUNDS, COLOURS, SHAPES


def reduced(image, factor):
    size = len(image) // factor
    return image.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_draw_equal_pictures_and_other_seeds_others(kind):
    for scene in sample_scenes(kind, 5, 0):
        first, again, other = draw(scene, 3), draw(scene, 3), draw(scene, 4)
        assert first.shape == (64, 64, 3)
        assert first.dtype == np.uint8
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "word"])
def test_a_large_picture_reduced_is_the_small_picture(kind):
    for seed, scene in enumerate(sample_scenes(kind, 8, 1)):
        small = draw(scene, seed).astype(float)
        large = reduced(draw(scene, seed, 256), 4)
        # Coverage by signed distance is exact on straight edges and off by some at corners.
        assert np.abs(large - small).mean() < 0.6
        assert np.abs(large - small).max() < 90


def test_a_large_word_reduced_is_the_small_word_but_for_its_place():
    for seed, scene in enumerate(sample_scenes("word", 8, 1)):
        small = draw(scene, seed).astype(float)
        large = reduced(draw(scene, seed, 256), 4)
        # Words stand on whole pixels: half a pixel of a small picture is their leeway.
        assert np.abs(large - small).mean() < 8
        assert np.abs(large.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max() < 2


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_covers_the_area_that_its_outline_encloses(shape):
    layout = Layout(
        background="black", objects=(Placed(shape=shape, colour="white", x=0.5, y=0.5, radius=0.3),)
    )
    image = render(layout, 256).astype(float)[..., 0]
    black, white = BACKGROUNDS["black"][0], COLOURS["white"][0]
    area = ((image - black) / (white - black)).sum() / 256**2
    assert area == pytest.approx(AREAS[shape] * 0.3**2, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_reaches_as_far_as_its_extent_says(shape):
    layout = Layout(
        background="black", objects=(Placed(shape=shape, colour="white", x=0.5, y=0.5, radius=0.3),)
    )
    rows = np.flatnonzero(render(layout, 512)[..., 0].max(axis=1) > 100) + 0.5
    above, below = extent(shape)
    assert rows[0] / 512 == pytest.approx(0.5 - 0.3 * above, abs=0.006)
    assert rows[-1] / 512 == pytest.approx(0.5 + 0.3 * below, abs=0.006)


def test_a_layout_has_the_relation_that_its_caption_names():
    for seed, scene in enumerate(all_scenes("relation")):
        if seed % 13 == 0:
            layout = place(scene, seed)
            by_colour = {item.colour: item for item in layout.objects}
            first, second = (by_colour[item.colour] for item in scene.objects)
            assert relation_between(first, second) == scene.relation


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "word"])
def test_nothing_leaves_the_picture_and_equal_objects_keep_apart(kind):
    for seed, scene in enumerate(sample_scenes(kind, 200, 2)):
        objects = place(scene, seed).objects
        assert len(objects) == len(scene.objects)
        for item in objects:
            assert min(item.x, item.y) - item.radius > -1e-9 + MARGIN / 3
            assert max(item.x, item.y) + item.radius < 1 - MARGIN / 3 + 1e-9
        if scene.counted:
            gaps = [
                max(abs(a.x - b.x), abs(a.y - b.y)) - a.radius - b.radius
                for i, a in enumerate(objects)
                for b in objects[:i]
            ]
            assert min(gaps, default=1) >= 2 * MARGIN - 1e-9


def test_a_word_stays_within_its_picture():
    for seed, scene in enumerate(sample_scenes("word", 40, 3)):
        image = draw(scene, seed).astype(int)
        background = np.array(BACKGROUNDS[place(scene, seed).background])
        edge = np.concatenate([image[:, 0], image[:, -1], image[0], image[-1]])
        assert (np.abs(edge - background).sum(axis=1) > 60).mean() < 0.02


def test_the_inner_object_is_painted_on_top():
    scene = parse("a red circle inside a blue square")
    image = draw(scene, 0)
    assert np.abs(image[32, 32].astype(int) - COLOURS["red"]).max() < 30


def test_sizes_are_drawn_apart():
    small = Scene(objects=(SceneObject(shape="ring", colour="red", size="small"),))
    large = Scene(objects=(SceneObject(shape="ring", colour="red", size="large"),))
    radii = [
        [place(scene, seed).objects[0].radius for seed in range(50)] for scene in (small, large)
    ]
    assert max(radii[0]) < 0.21 < min(radii[1])
