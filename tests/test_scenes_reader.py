"""The exact judge is right on true pictures, and says so when it cannot read one."""

import numpy as np
import pytest

from dalle2eval.records import InputError
from dalle2eval.scenes.disturbances import DISTURBANCES
from dalle2eval.scenes.grammar import Scene, parse
from dalle2eval.scenes.layout import Layout, Placed, PlacedWord, place
from dalle2eval.scenes.reader import facts_of, read
from dalle2eval.scenes.relations import relation_between
from dalle2eval.scenes.renderer import draw, render
from dalle2eval.scenes.selftest import FIRST_SEED, run_self_test, sample_scenes, verdicts
from dalle2eval.scenes.vocabulary import BACKGROUNDS, COLOURS, SHAPES

OBJECT_KINDS = ("single", "count", "two-object", "relation")


def share_right(kind, number, disturbance="clean", size=64):
    """Share of scenes in which every task is right."""
    right = 0
    for index, scene in enumerate(sample_scenes(kind, number, 11)):
        image = DISTURBANCES[disturbance](draw(scene, 500 + index, size), index)
        right += all(verdicts(scene, read(image)).values())
    return right / number


@pytest.mark.parametrize("kind", OBJECT_KINDS)
def test_clean_scenes_of_objects_are_read_without_a_mistake(kind):
    assert share_right(kind, 100) == 1


@pytest.mark.parametrize("disturbance", ["jpeg", "noise", "blur"])
def test_disturbed_scenes_are_read(disturbance):
    shares = [share_right(kind, 50, disturbance) for kind in OBJECT_KINDS]
    assert np.mean(shares) >= 0.97


def test_clean_words_are_read_letter_by_letter():
    assert share_right("word", 60) >= 0.97


@pytest.mark.parametrize("size", [256, 1024])
def test_larger_pictures_are_read_as_well(size):
    shares = [share_right(kind, 8, size=size) for kind in (*OBJECT_KINDS, "word")]
    assert np.mean(shares) >= 0.97


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_shape_in_every_colour_is_read_on_every_background(background, colour):
    for shape in SHAPES:
        item = Placed(shape=shape, colour=colour, x=0.55, y=0.45, radius=0.15)
        reading = read(render(Layout(background=background, objects=(item,))))
        assert [(o.shape, o.colour) for o in reading.objects] == [(shape, colour)]
        assert reading.background == background


def test_places_and_radii_are_read_within_a_pixel():
    for seed, scene in enumerate(sample_scenes("count", 20, 5)):
        drawn = sorted(place(scene, seed).objects, key=lambda o: (o.x, o.y))
        seen = sorted(read(draw(scene, seed)).objects, key=lambda o: (o.x, o.y))
        for a, b in zip(drawn, seen, strict=True):
            assert max(abs(a.x - b.x), abs(a.y - b.y), abs(a.radius - b.radius)) < 1 / 64


def test_misspelled_words_are_read_as_they_stand():
    for text in ("HLELO", "BIRDD", "QXJ", "TAVA"):
        word = PlacedWord(
            text=text, colour="yellow", x=0.5, y=0.5, height=0.94 / (1.13 * len(text))
        )
        reading = read(render(Layout(background="navy", word=word)))
        assert (reading.word, reading.word_colour) == (text, "yellow")


def test_two_equal_objects_in_a_row_are_no_word():
    objects = tuple(
        Placed(shape="ring", colour="white", x=x, y=0.5, radius=0.17) for x in (0.29, 0.71)
    )
    reading = read(render(Layout(background="black", objects=objects)))
    assert reading.word is None
    assert [item.shape for item in reading.objects] == ["ring", "ring"]


def test_a_red_rim_on_yellow_is_not_read_as_orange():
    reading = read(draw(parse("a red ring inside a yellow square"), 3))
    assert {item.colour for item in reading.objects} == {"red", "yellow"}


def test_an_orange_object_is_not_a_mix_of_red_and_yellow():
    reading = read(draw(parse("a red circle and an orange triangle"), 1))
    assert {(o.colour, o.shape) for o in reading.objects} == {
        ("red", "circle"),
        ("orange", "triangle"),
    }


def test_three_colours_are_read_as_three_objects():
    spots = ((0.25, 0.25, "red"), (0.75, 0.25, "blue"), (0.25, 0.75, "white"))
    objects = tuple(Placed(shape="circle", colour=c, x=x, y=y, radius=0.15) for x, y, c in spots)
    reading = read(render(Layout(background="grey", objects=objects)))
    assert {item.colour for item in reading.objects} == {"red", "blue", "white"}


def plain(name="black"):
    image = np.empty((64, 64, 3), np.uint8)
    image[:] = BACKGROUNDS[name]
    return image


def four_colours():
    spots = (
        (0.25, 0.25, "red"),
        (0.75, 0.25, "blue"),
        (0.25, 0.75, "white"),
        (0.75, 0.75, "green"),
    )
    objects = tuple(Placed(shape="circle", colour=c, x=x, y=y, radius=0.15) for x, y, c in spots)
    return render(Layout(background="grey", objects=objects))


def blob(colour=(220, 40, 40)):
    image = plain()
    image[10:20, 10:54] = image[10:40, 10:20] = image[30:40, 20:50] = colour
    return image


def speckled():
    image = plain()
    rng = np.random.default_rng(0)
    for y, x in rng.integers(5, 57, (25, 2)):
        image[y : y + 2, x : x + 3] = COLOURS["red"]
    return image


def stroke():
    image = plain()
    image[31:36, 28:38] = COLOURS["blue"]
    return image


UNREADABLE = {
    "nothing": (plain(), "nothing but background"),
    "noise": (np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "background"),
    "photo-like": (
        np.tile(np.arange(0, 256, 4, np.uint8)[:, None, None], (1, 64, 3)),
        "background",
    ),
    "white paper": (np.full((64, 64, 3), 255, np.uint8), "background is not one"),
    "four colours": (four_colours(), "colours"),
    "colour outside the palette": (blob((255, 90, 200)), "colours outside the palette"),
    "no shape": (blob(), "none of the shapes"),
    "a stroke too small for a word": (stroke(), "none of the shapes"),
    "speckles": (speckled(), "speckled"),
    "too small": (plain()[:32, :32], "at least 64"),
    "not square": (plain()[:, :48], "square"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_scene_is_unreadable_with_its_reason(case):
    image, reason = UNREADABLE[case]
    reading = read(image)
    assert reading.unreadable is not None
    assert reason in reading.unreadable
    assert (reading.objects, reading.word, reading.background) == ((), None, None)


@pytest.mark.parametrize(
    "array",
    [
        np.full((64, 64, 3), np.nan, np.float32),
        np.zeros((64, 64), np.uint8),
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(array):
    with pytest.raises(InputError, match="uint8"):
        read(array)


def test_reading_is_deterministic_and_leaves_the_picture_alone():
    image = DISTURBANCES["noise"](draw(parse("three cyan stars"), 0), 0)
    before = image.copy()
    assert read(image) == read(image)
    assert np.array_equal(image, before)


def test_a_slightly_rough_shape_is_still_read():
    image = draw(parse("a large blue circle"), 2)
    rng = np.random.default_rng(1)
    solid = np.abs(image.astype(int) - COLOURS["blue"]).sum(axis=2) < 20
    edge = solid & ~np.roll(solid, 1, 0) | solid & ~np.roll(solid, 1, 1)
    image = image.copy()
    image[edge & (rng.random(edge.shape) < 0.4)] = image[0, 0]
    assert [(o.shape, o.colour) for o in read(image).objects] == [("circle", "blue")]


def test_relations_are_read_from_first_to_second_and_are_exclusive():
    upper = Placed(shape="circle", colour="red", x=0.5, y=0.3, radius=0.15)
    touching = Placed(shape="square", colour="blue", x=0.5, y=0.65, radius=0.25)
    apart = Placed(shape="square", colour="blue", x=0.5, y=0.75, radius=0.25)
    assert relation_between(upper, touching) == "on top of"
    assert relation_between(touching, upper) is None
    assert relation_between(upper, apart) == "above"
    assert relation_between(apart, upper) == "below"
    left = Placed(shape="ring", colour="red", x=0.25, y=0.5, radius=0.15)
    right = Placed(shape="ring", colour="blue", x=0.75, y=0.55, radius=0.15)
    assert relation_between(left, right) == "left of"
    assert relation_between(right, left) == "right of"
    diagonal = Placed(shape="ring", colour="blue", x=0.75, y=0.95, radius=0.15)
    assert relation_between(left, diagonal) is None
    inner = Placed(shape="star", colour="red", x=0.5, y=0.5, radius=0.12)
    outer = Placed(shape="circle", colour="blue", x=0.51, y=0.5, radius=0.4)
    assert relation_between(inner, outer) == "inside"
    assert relation_between(outer, inner) is None


def test_facts_of_a_reading_are_told_in_the_direction_of_the_relation():
    facts = facts_of(read(draw(parse("a red star inside a blue circle"), 0)))
    assert [item["colour"] for item in facts["objects"]] == ["red", "blue"]
    assert facts["relation"] == "inside"
    assert facts["objects"][0]["size"] == "small"


def test_the_self_test_counts_a_wrong_reading_as_wrong():
    scene = parse("two red circles")
    right = read(draw(scene, 0))
    assert verdicts(scene, right) == {"shape": True, "colour": True, "count": True}
    assert verdicts(parse("two red squares"), right) == {
        "shape": False,
        "colour": True,
        "count": True,
    }
    assert verdicts(parse("three red circles"), right)["count"] is False
    unreadable = read(plain())
    assert not any(verdicts(scene, unreadable).values())
    assert verdicts(Scene(word="HI", word_colour="red"), right) == {"word": False}


def test_the_self_test_passes_its_floor_in_every_task():
    tallies = {tally.task: tally for tally in run_self_test()}
    assert set(tallies) == {"shape", "colour", "count", "relation", "word"}
    assert all(tally.right / tally.n >= 0.97 and tally.n >= 40 for tally in tallies.values())


def test_self_test_seeds_are_far_from_training_seeds():
    assert FIRST_SEED > 2**32
