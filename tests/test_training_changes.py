"""Every field of a recipe can be set by its path; a wrong one is answered with the right one."""

import pytest

from reference_model.presets import preset
from reference_model.training.changes import RECIPE_FIELDS, apply_changes, parse_changes, settable
from reference_model.training.recipes import RECIPES

RECIPE = RECIPES["captions"]["decoder"]


def changed(*texts):
    return apply_changes(preset("tiny"), RECIPE, parse_changes(texts))


def test_fields_of_loop_and_architecture_are_set():
    stack, recipe = changed(
        "loop.steps=7", "loop.learning_rate=1", "decoder.unet.attention_levels=[0, 1]",
        "decoder.text.tokenizer=bytes", "clip.vision.width=8",
    )  # fmt: skip
    assert (recipe.loop.steps, recipe.loop.learning_rate) == (7, 1.0)
    assert stack.decoder.unet.attention_levels == (0, 1)
    assert stack.decoder.text.tokenizer == "bytes"
    assert stack.clip.vision["width"] == 8
    assert stack.prior == preset("tiny").prior


def test_every_path_that_is_offered_can_be_set_to_its_own_value():
    stack, recipe = preset("base"), RECIPE
    for path in settable(stack, recipe):
        value = recipe if path.split(".")[0] in RECIPE_FIELDS else stack
        for name in path.split("."):
            value = value[name] if isinstance(value, dict) else getattr(value, name)
        assert apply_changes(stack, recipe, {path: value}) == (stack, recipe)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loop.stepss=1", 'did you mean "loop.steps"'),
        ("lop.steps=1", 'did you mean "loop.steps"'),
        ("decoder.target=w", "decoder.target is 'w'; allowed: x0, eps, v"),
        ("loop.steps=1.5", "a whole number"),
        ("loop.bf16=1", "true or false"),
        ("loop.accumulate=0", "at least 1"),
        ("loop.parallel=dp", "ddp"),
        ("loop=3", "is a structure"),
        ("loop.steps.x=3", "is one value"),
        ("seed=3", "no setting"),
        ("loop.steps", "expected PATH=VALUE"),
    ],
)
def test_a_wrong_change_is_told_what_is_allowed(text, said):
    with pytest.raises(ValueError, match=said):
        changed(text)


def test_muon_is_refused_where_matrices_are_shared_out():
    with pytest.raises(ValueError, match="whole matrices"):
        changed("loop.matrix_learning_rate=0.01", "loop.parallel=fsdp")
