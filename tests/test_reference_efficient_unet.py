"""Imagen's Efficient U-Net: where its blocks work, what skips, and that it can replace ADM's."""

import pytest
import torch
from stack_fixtures import copy_tiny, make_tiny_recipe, train_tiny

from reference_model import load
from reference_model.config import UnetConfig, from_json, to_json
from reference_model.efficient_unet import SKIP_SCALE, EfficientUnet, build_unet
from reference_model.manifest import CheckpointError
from reference_model.unet import ResBlock, Unet

CONFIG = UnetConfig(
    patch=1, channels=8, multipliers=(1, 2), depth=1, depths=(1, 3), condition_channels=3,
    efficient=True,
)  # fmt: skip
FAST = {"prior_steps": 2, "prior_candidates": 1, "decoder_steps": 2, "upsampler_256_steps": 2}


def network(config=CONFIG):
    torch.manual_seed(0)
    made = EfficientUnet(config).eval().requires_grad_(requires_grad=False)
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def inputs(size=16):
    source = torch.Generator().manual_seed(1)
    x_t, low = (torch.randn(2, 3, size, size, generator=source) for _ in range(2))
    return x_t, torch.tensor([10, 900]), low


def test_no_block_works_on_the_fine_grid_and_most_work_on_the_coarsest():
    """A level halves before its blocks and doubles behind them."""
    net, sides = network(), []
    for module in net.modules():
        if isinstance(module, ResBlock):
            module.register_forward_hook(lambda _m, _in, out: sides.append(out.shape[-1]))
    x_t, t, low = inputs(16)
    assert net(x_t, t, low=low).shape == x_t.shape
    assert sides == [8, 4, 4, 4, 4, 4, 4, 8]


def test_a_skip_is_scaled_before_it_is_joined():
    net, seen = network(), {}
    net.down[0][-1].register_forward_hook(lambda _m, _in, out: seen.update(skip=out))
    net.up[0][0].register_forward_hook(lambda _m, given, _out: seen.update(joined=given[0]))
    x_t, t, low = inputs()
    net(x_t, t, low=low)
    assert torch.equal(seen["joined"][:, 8:], seen["skip"] * SKIP_SCALE)
    assert pytest.approx(0.5**0.5) == SKIP_SCALE


def test_every_input_reaches_the_output_and_rows_stay_apart():
    net, (x_t, t, low) = network(), inputs()
    usual = net(x_t, t, low=low)
    for changed in (net(x_t, t + 50, low=low), net(x_t, t, low=low + 1), net(x_t + 1, t, low=low)):
        assert not torch.allclose(changed, usual, atol=1e-4)
    assert torch.allclose(net(x_t[1:], t[1:], low=low[1:]), usual[1:], atol=1e-5)


def test_it_takes_a_picture_of_any_size():
    net = network()
    for size in (8, 32):
        x_t, t, low = inputs(size)
        assert net(x_t, t, low=low).shape == x_t.shape


def test_attention_stands_behind_the_last_block_of_its_level_and_reads_the_context():
    from dataclasses import replace

    net = network(replace(CONFIG, attention_levels=(1,), head_channels=8, context_width=5))
    assert [level.attention is not None for level in net.down[1]] == [False, False, True]
    x_t, t, low = inputs()
    one, other = (net(x_t, t, low=low, context=torch.full((2, 3, 5), v)) for v in (0.0, 3.0))
    assert not torch.allclose(one, other, atol=1e-5)


def test_a_config_says_which_of_the_two_it_is():
    assert isinstance(build_unet(CONFIG), EfficientUnet)
    assert isinstance(build_unet(UnetConfig(patch=1, channels=8, multipliers=(1,), depth=1)), Unet)
    assert from_json(UnetConfig, to_json(CONFIG)) == CONFIG


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"depths": (1,)}, "1 depths for 2 levels"), ({"efficient": False}, "ADM's has one depth")],
)
def test_depths_that_would_not_be_built_are_refused(changes, message):
    from dataclasses import replace

    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)


def test_a_stack_enlarges_with_it_where_it_is_chosen(tmp_path, monkeypatch):
    copy_tiny(tmp_path)
    make_tiny_recipe(monkeypatch)
    train_tiny(tmp_path, "upsampler-256-efficient")
    model = load(tmp_path / "tiny", device="cpu")
    how = {**FAST, "size": 32}
    efficient = model.generate(["a star"], [0], **how, upsampler_256_network="efficient")
    assert efficient.shape == (1, 32, 32, 3)
    assert efficient.tobytes() != model.generate(["a star"], [0], **how).tobytes()
    settings = model.resolve_settings({**FAST, "upsampler_256_network": "efficient"})
    chosen, usual = (model.plan_stages(s, 32)[-1] for s in (settings, model.resolve_settings(FAST)))
    assert chosen.weights == model.manifest.part("upsampler-256-efficient").identity
    assert chosen.settings == {"steps": 2, "network": "efficient"}
    assert usual.settings == {"steps": 2}
    assert model.plan_stages(settings) == model.plan_stages(model.resolve_settings(FAST))
    with pytest.raises(CheckpointError, match="no part 'upsampler-256-efficient'"):
        load("tiny").plan_stages(settings, 32)
