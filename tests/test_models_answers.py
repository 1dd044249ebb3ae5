"""What is no picture is refused or counted, and what is one comes through unchanged."""

import logging

import numpy as np
import pytest

from dalle2eval.models.answers import as_pictures, fit
from dalle2eval.models.faults import (
    ALL_EQUAL,
    NOT_A_NUMBER,
    REFUSED,
    WrongAnswer,
    find_faults,
    stand_in,
    tell_faults,
)
from dalle2eval.models.knobs import Knob, resolve
from dalle2eval.models.naming import parse_name
from dalle2eval.models.one_stage import OneStage, Wanted
from dalle2eval.records import InputError


def pictures(n, side=64):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


class Draws:
    kind, name, weights, seconds_per_image = "drawn", "drawn:x", "0" * 64, 0.1

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def resolve_settings(self, changes):
        return dict(changes)

    def identity(self, settings):
        return dict(settings)

    def check_samples(self, samples, settings):
        self.asked += samples

    def draw(self, samples, settings):
        return self.answer(samples)


def run(answer, n=3, size=64):
    model = OneStage(Draws(answer))
    keys = [(f"p{i}", i) for i in range(n)]
    value = None
    for stage in model.plan_stages({}, size):
        value = model.run_stage(stage, ["a thing"] * n, keys, value)
    return value


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda s: pictures(2), "answered 3 prompts with 2 pictures"),
        (lambda s: pictures(3, 32), "32 x 32 pixels; allowed: square ones of 64 or more"),
        (lambda s: pictures(3)[:, :, :48].repeat(2, axis=1), "48 x 128 pixels"),
        (lambda s: pictures(3)[..., :1], r"shape \(64, 64, 1\)"),
        (lambda s: pictures(3).astype(np.int32), "int32 pixels"),
        (lambda s: pictures(3).astype(np.float32), "pixels from 0 to 255; expected 0 to 1"),
        (lambda s: pictures(3) / 127.5 - 1, "pixels from -1 to 1; expected 0 to 1"),
    ],
)
def test_a_wrong_answer_is_refused_at_once(answer, message):
    with pytest.raises(WrongAnswer, match=message):
        run(answer)


def test_floats_become_the_bytes_that_they_stand_for():
    wanted = pictures(3)
    assert np.array_equal(run(lambda s: wanted / 255), wanted)
    assert np.array_equal(run(lambda s: (wanted / 255).astype(np.float32)), wanted)


def test_nan_in_one_picture_is_counted_and_leaves_the_others(caplog):
    def answer(samples):
        answered = pictures(3).astype(np.float64) / 255
        answered[1, 5, 5, 0] = np.nan
        return answered

    with caplog.at_level(logging.WARNING):
        images = run(answer)
    assert find_faults(images) == [None, NOT_A_NUMBER, None]
    assert np.array_equal(images[[0, 2]], pictures(3)[[0, 2]])
    assert "1 of 3 pictures cannot be judged" in caplog.text
    assert "NaN" in caplog.text


def test_every_kind_of_empty_picture_has_its_reason():
    images = pictures(5)
    images[0] = 0
    images[1] = 200
    images[2] = stand_in(REFUSED, 64)
    images[3] = stand_in(NOT_A_NUMBER, 64)
    assert find_faults(images) == [
        "all black", "one colour everywhere (200, 200, 200)", REFUSED, NOT_A_NUMBER, None
    ]  # fmt: skip


def test_one_pixel_that_differs_makes_a_picture():
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[0, 7, 7, 2] = 1
    assert find_faults(image) == [None]


def test_the_same_picture_for_every_prompt_is_told():
    same = np.repeat(pictures(1), 3, axis=0)
    assert find_faults(same) == [ALL_EQUAL] * 3
    assert find_faults(same[:1]) == [None]
    with pytest.raises(WrongAnswer, match="the same picture for every prompt"):
        tell_faults(np.repeat(pictures(1), 4, axis=0), ["a"] * 4, "x")


def test_a_batch_of_black_pictures_stops_the_run():
    with pytest.raises(WrongAnswer, match=r"4 of 4 pictures cannot be judged.*all black"):
        run(lambda s: np.zeros((4, 64, 64, 3), np.uint8), n=4)


def test_a_smaller_size_is_the_mean_over_its_area_whatever_came_between():
    big = pictures(1, 1024)
    direct = fit(big[0], 64, "x")
    exact = big[0].reshape(64, 16, 64, 16, 3).mean(axis=(1, 3))
    assert np.abs(direct - exact).max() <= 1  # Pillow rounds after each axis
    through = run(lambda s: big, n=1, size=1024)
    assert through.shape == (1, 64, 64, 3)
    assert np.abs(through[0].astype(float) - exact).max() <= 1.5


def test_a_chain_passes_every_smaller_size():
    model = OneStage(Draws(None))
    assert [s.image_size for s in model.plan_stages({}, 1024)] == [1024, 256, 64]
    with pytest.raises(ValueError, match="size is 128; allowed: 64, 256, 1024"):
        model.plan_stages({}, 128)


def test_a_seed_depends_on_prompt_seed_and_stage_alone():
    one = Wanted(text="a", key=("p", 1), size=64)
    assert one.number("x") == Wanted(text="b", key=("p", 1), size=256).number("x")
    others = [Wanted(text="a", key=k, size=64).number("x") for k in (("p", 2), ("q", 1))]
    assert len({one.number("x"), one.number("y"), *others}) == 4
    assert 0 <= one.number("x", bits=31) < 2**31


def test_as_pictures_keeps_uint8_as_it_is():
    images = pictures(2)
    assert as_pictures(list(images), 2, "x")[1] is not None
    assert np.array_equal(np.stack(as_pictures(list(images), 2, "x")), images)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://host/v1", 'as "http:https://host/v1"'),
        ("http://host/v1", 'as "http:http://host/v1"'),
        ("image:samples", 'did you mean "images:DIR"'),
        ("torch:x", "allowed: reference:NAME, images:DIR"),
        ("images:", '"images:" names nothing; expected images:DIR'),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_form(text, message):
    with pytest.raises(InputError) as caught:
        parse_name(text)
    assert message in str(caught.value)


def test_a_reference_model_goes_by_its_bare_name():
    assert str(parse_name("reference:scenes")) == str(parse_name("scenes")) == "scenes"
    assert str(parse_name("http:https://h/v1")) == "http:https://h/v1"


@pytest.mark.parametrize("value", [True, "3", 0, 2.5, float("nan"), None])
def test_a_setting_of_the_wrong_kind_is_refused(value):
    knobs = {"steps": Knob(kind=int, default=3, low=1, high=9, means="steps")}
    with pytest.raises(ValueError, match=r"steps is .*; allowed: a whole number from 1 to 9"):
        resolve(knobs, {"steps": value})
    assert resolve(knobs, {"steps": 4.0}) == {"steps": 4}
