"""Units are shared where arms share a stage, and nothing that decides a value is left out."""

from collections import Counter

from run_fixtures import make_work


def stages(work):
    return Counter(unit.stage for unit in work.units)


def images(work, arm):
    (found,) = [one for one in work.arms if one.arm.name == arm]
    return {
        (key, size): unit.address
        for drawn in found.drawn
        for size, unit in drawn.images.items()
        for key in drawn.shard.keys
    }


def test_arms_with_equal_settings_share_every_image(tmp_path):
    work = make_work(tmp_path / "s.yaml")
    assert images(work, "guidance-3.0") == images(work, "prior")
    assert not set(images(work, "guidance-1.0").values()) & set(images(work, "prior").values())


def test_a_shared_stage_is_made_once(tmp_path):
    # 14 scored images of 64 px and 6 of words at 256 px with 2 seeds each make 1 + 1 shards, and
    # the showcase 1: 3 shards. Three priors would be two: guidance does not reach the prior.
    counts = stages(make_work(tmp_path / "s.yaml"))
    assert counts["prior"] == 2 * 3
    assert counts["decoder"] == 3 * 3
    assert counts["upsampler_256"] == 3 * 2
    assert counts["upsampler_1024"] == 3


def test_inputs_come_before_their_readers(tmp_path):
    work = make_work(tmp_path / "s.yaml")
    seen = set()
    for unit in work.units:
        assert all(needed.address in seen for needed in unit.needs())
        seen.add(unit.address)
    assert len(seen) == len(work.units)


def test_the_showcase_is_drawn_with_one_seed_and_never_judged(tmp_path):
    work = make_work(tmp_path / "s.yaml")
    for arm in work.arms:
        shown = [drawn for drawn in arm.drawn if not drawn.shard.scored]
        assert [(len(drawn.shard.keys), max(drawn.images)) for drawn in shown] == [(1, 1024)]
        judged = {unit.address for units in arm.judged.inputs.values() for unit in units}
        read = {
            needed.address
            for unit in work.units
            if unit.address in judged
            for needed in unit.needs()
        }
        assert not read & {unit.address for drawn in shown for unit in drawn.images.values()}


def test_a_shard_does_not_depend_on_which_arms_run(tmp_path):
    alone = make_work(tmp_path / "s.yaml", arms=("eps",))
    assert images(alone, "eps") == images(make_work(tmp_path / "s.yaml"), "eps")


def test_another_seed_or_setting_is_another_address(tmp_path):
    base = set(images(make_work(tmp_path / "s.yaml"), "eps").values())
    for changed in (
        make_work(tmp_path / "s.yaml", seed=5),
        make_work(tmp_path / "s.yaml", "model.decoder_steps=3"),
    ):
        assert not base & set(images(changed, "eps").values())
