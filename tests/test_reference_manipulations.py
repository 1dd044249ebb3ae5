"""Manipulations of given pictures, on the stack of random weights and in closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dalle2eval.records import InputError
from dalle2eval.scenes.grammar import parse
from dalle2eval.scenes.renderer import draw
from reference_model import load
from reference_model.manipulations import Manipulator, slerp
from reference_model.pca import fit_pca


@pytest.fixture(scope="module")
def manipulator():
    return Manipulator(load("tiny", device="cpu"), steps=12)


@pytest.fixture(scope="module")
def images(manipulator):
    return manipulator.model.generate(["a red circle", "two blue stars"], [0, 1], decoder_steps=5)


@pytest.fixture(scope="module")
def trained():
    """The bundled decoder: random weights lead nowhere in particular, so nothing leads back."""
    return Manipulator(load("scenes", device="cpu"), steps=10)


@pytest.fixture(scope="module")
def scenes():
    """Two pictures that the bundled decoder takes apart well; not all are (docs/notebook.md)."""
    return np.stack([draw(parse(text), 0) for text in ("two cyan squares", "a large blue star")])


def far(a, b):
    return np.abs(a.astype(float) - b.astype(float)).mean()


def test_slerp_walks_the_arc_at_even_speed_and_keeps_the_length():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    for share in (0.0, 0.25, 1.0):
        angle = torch.tensor(share * torch.pi / 2)
        expected = torch.stack([angle.cos(), angle.sin()])[None]
        assert torch.allclose(slerp(a, b, share), expected, atol=1e-6)
    assert torch.allclose(slerp(3 * a, 3 * b, 0.5).norm(), torch.tensor(3.0))


def test_slerp_of_the_same_vector_is_that_vector():
    a = torch.nn.functional.normalize(torch.randn(3, 7), dim=-1)
    assert torch.allclose(slerp(a, a.clone(), torch.tensor([0.0, 0.4, 1.0])), a, atol=1e-5)


def test_a_picture_taken_apart_and_drawn_again_is_the_picture(trained, scenes):
    again = trained.draw(trained.take_apart(scenes))
    assert far(again, scenes) < 0.15 * far(scenes[:1], scenes[1:])


def test_eta_frees_a_variation(trained, scenes):
    near, wide = (trained.variations(scenes[0], [1], eta=eta) for eta in (0.0, 1.0))
    assert far(near, scenes[:1]) < far(wide, scenes[:1])


def test_a_seed_repeats_a_variation_in_another_batch(manipulator, images):
    wide = manipulator.variations(images[0], [1, 2], eta=1.0)
    same = manipulator.variations(images[0], [2], eta=1.0)
    assert far(wide[:1], wide[1:]) > 0
    assert np.abs(same[0].astype(int) - wide[1]).max() <= 1


def test_an_interpolation_begins_and_ends_at_the_pictures(trained, scenes):
    path = trained.interpolation(scenes[0], scenes[1], 3)
    whole = far(scenes[:1], scenes[1:])
    assert far(path[0], scenes[0]) < 0.15 * whole
    assert far(path[-1], scenes[1]) < 0.15 * whole
    assert far(path[1], path[0]) > 0.1 * whole


def test_a_text_diff_of_nothing_leaves_the_picture_and_a_larger_one_moves_it(manipulator, images):
    made = manipulator.text_diff(images[0], "a red circle", "a blue circle", [0.0, 0.5])
    still = manipulator.draw(manipulator.take_apart(images[:1]))
    assert np.abs(made[0].astype(int) - still[0]).max() <= 1
    assert far(made[1], made[0]) > 0


def test_all_components_draw_the_picture_and_one_does_not(manipulator, images):
    torch.manual_seed(0)
    d = manipulator.model.network("decoder").config.z_dim
    pca = fit_pca(torch.nn.functional.normalize(torch.randn(50, d), dim=-1))
    made = manipulator.from_components(images[0], pca, [1, d])
    still = manipulator.draw(manipulator.take_apart(images[:1]))
    assert np.abs(made[1].astype(int) - still[0]).max() <= 1
    assert far(made[0], still[0]) > 0


def test_pictures_of_another_size_are_brought_to_the_decoders(manipulator, images):
    large = np.repeat(np.repeat(images[0], 2, axis=0), 2, axis=1)
    assert manipulator.variations(large, [0]).shape == (1, 16, 16, 3)


def drawn(tmp_path, capsys, *arguments):
    from dalle2eval.cli import app

    app(
        ["sample", *map(str, arguments), "--model", "tiny", "--out", str(tmp_path), "--json",
         "--set", "decoder_steps=3"],
        standalone_mode=False,
    )  # fmt: skip
    return [Path(path).name for path in json.loads(capsys.readouterr().out)["files"]]


@pytest.fixture
def files(images, tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def test_a_setting_that_a_manipulation_ignores_is_refused(files, tmp_path):
    from dalle2eval.manipulating import choose, manipulate

    common = {"out": tmp_path, "model": "tiny", "seeds": [0, 1], "device": "cpu"}
    varied = choose(None, files[0], None, None)
    with pytest.raises(InputError, match="variation: decoder_sampler changes nothing; allowed"):
        manipulate(varied, settings={"decoder_sampler": "heun"}, **common)
    blended = choose(None, None, tuple(files), None)
    with pytest.raises(InputError, match="interpolation: decoder_eta changes nothing; allowed"):
        manipulate(blended, settings={"decoder_eta": 0.5}, **common)


def test_the_command_line_draws_each_manipulation(files, tmp_path, capsys):
    a, b = files
    assert drawn(tmp_path, capsys, "--variation-of", a, "--n", 2) == [
        "variation-0.png",
        "variation-1.png",
    ]
    assert len(drawn(tmp_path, capsys, "--interpolate", a, b, "--n", 3)) == 3
    made = drawn(tmp_path, capsys, "--text-diff", a, "a red circle", "a blue circle", "--n", 2)
    assert made == ["text-diff-0.png", "text-diff-1.png"]
    assert Image.open(tmp_path / made[0]).size == (16, 16)


def test_asking_for_two_things_or_for_nothing_is_one_clear_error(files, tmp_path, capsys):
    with pytest.raises(InputError, match="give prompts, or one of"):
        drawn(tmp_path, capsys, "a red circle", "--variation-of", files[0])
    with pytest.raises(InputError, match="give prompts, or one of"):
        drawn(tmp_path, capsys)
    with pytest.raises(InputError, match="takes 2 or more"):
        drawn(tmp_path, capsys, "--interpolate", *files)
    files[0].write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.png cannot be read as a picture"):
        drawn(tmp_path, capsys, "--variation-of", files[0])
