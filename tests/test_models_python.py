"""A class of the user's own is run as it says, and its mistakes are told in one line."""

import sys

import numpy as np
import pytest

from dalle2eval.models import WrongAnswer, open_system
from dalle2eval.models.one_stage import OneStage
from dalle2eval.models.python_class import StagedClass
from dalle2eval.records import InputError

SIMPLE = """
import numpy as np

class Mine:
    name, weights = "mine", "1" * 64

    def resolve_settings(self, changes):
        if set(changes) - {"gain"}:
            raise ValueError("allowed: gain")
        return {"gain": 1, **changes}

    def generate(self, prompts, seeds, *, size=64, gain):
        rows = [np.random.default_rng(seed).random((size, size, 3)) * gain for seed in seeds]
        return np.stack(rows)

class Poor:
    name, weights = "poor", "1" * 64

class Broken(Mine):
    def generate(self, prompts, seeds, *, size=64, gain):
        return {}["x"]
"""

STAGED = """
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Step:
    name: str
    image_size: int | None
    settings: dict
    weights: str = "2" * 64
    version: int = 1
    forward_passes: int = 1
    seconds_per_image: float = 0.1

class Mine:
    name, weights, identity = "mine", "1" * 64, "trained on Monday"
    side, start = 64, 0.0

    def resolve_settings(self, changes):
        return dict(changes)

    def plan_stages(self, settings, size):
        return [Step("z", None, {}), Step("paint", size, dict(settings))]

    def run_stage(self, stage, prompts, noise_keys, previous):
        if stage.name == "z":
            return np.full((len(prompts), 4), self.start)
        shape = (self.side, self.side, 3)
        rows = [np.random.default_rng(seed).random(shape) for _, seed in noise_keys]
        return np.stack(rows)

    def generate(self, prompts, seeds, *, size=64, **settings):
        keys = [("", seed) for seed in seeds]
        return self.run_stage(Step("paint", size, settings), prompts, keys, None)

class Small(Mine):
    side = 32

class Lost(Mine):
    start = float("nan")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = []

    def make(text, name):
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return name

    yield make
    for name in names:
        sys.modules.pop(name, None)


def draw(model, n=2, size=64, **settings):
    keys, value = [(f"p{i}", i) for i in range(n)], None
    for stage in model.plan_stages(model.resolve_settings(settings), size):
        value = model.run_stage(stage, ["a thing"] * n, keys, value)
    return value


def test_a_class_that_generates_is_a_system(module):
    model = open_system(f"python:{module(SIMPLE, 'plain_mine')}.Mine")
    assert isinstance(model, OneStage)
    images = draw(model)
    assert images.shape == (2, 64, 64, 3)
    assert images.dtype == np.uint8
    assert np.array_equal(images[:1], draw(model, 1))
    assert draw(model, gain=0.5).max() <= 128
    with pytest.raises(ValueError, match="allowed: gain"):
        model.resolve_settings({"gian": 2})


def test_a_class_with_stages_keeps_them_and_is_checked(module):
    name = module(STAGED, "staged_mine")
    model = open_system(f"python:{name}.Mine")
    assert isinstance(model, StagedClass)
    assert [stage.name for stage in model.plan_stages({}, 64)] == ["z", "paint"]
    assert draw(model).shape == (2, 64, 64, 3)
    with pytest.raises(WrongAnswer, match="stage paint gave 32 x 32 pixels; expected 64 x 64"):
        draw(open_system(f"python:{name}.Small"))
    with pytest.raises(WrongAnswer, match="stage z gave NaN or infinity"):
        draw(open_system(f"python:{name}.Lost"))
    with pytest.raises(InputError, match=r"plan_stages\(.., 256\) has no stage of 64 px"):
        model.plan_stages({}, 256)


def test_the_file_the_class_and_its_declaration_are_its_identity(module):
    one = open_system(f"python:{module(STAGED, 'first_mine')}.Mine")
    same = open_system(f"python:{module(STAGED, 'second_mine')}.Mine")
    other = open_system(f"python:{module(STAGED.replace('Monday', 'Friday'), 'third_mine')}.Mine")
    assert one.weights == same.weights
    assert len({one.weights, other.weights, open_system("python:first_mine.Small").weights}) == 3
    stages = [model.plan_stages({}, 64)[0].weights for model in (one, same, other)]
    assert stages[0] == stages[1] != stages[2]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("python:Mine", '"Mine" is no class; expected python:module.Class'),
        ("python:a/b.Mine", "is no class"),
        ("python:no_such_module.Mine", "no module no_such_module in the working folder"),
        ("python:faulty_mine.Nine", "AttributeError at"),
        ("python:faulty_mine.Poor", "has no resolve_settings, generate; a system offers name"),
        ("python:shutil.rmtree", "python:shutil.rmtree is no class"),
    ],
)
def test_what_is_no_system_is_told_in_one_line(module, place, message):
    module(SIMPLE, "faulty_mine")
    with pytest.raises(InputError) as caught:
        open_system(place)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_of_the_users_code_names_its_line(module):
    model = open_system(f"python:{module(SIMPLE, 'broken_mine')}.Broken")
    with pytest.raises(InputError, match=r"KeyError at broken_mine\.py:21: 'x'"):
        draw(model)


def test_a_module_that_cannot_be_imported_is_told(module):
    with pytest.raises(InputError, match=r"ZeroDivisionError at split_mine\.py:1"):
        open_system(f"python:{module('1 / 0', 'split_mine')}.Mine")
