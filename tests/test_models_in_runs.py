"""One suite mixes systems: other arms keep their addresses, bad pictures are never averaged in."""

import json

import numpy as np
import pytest
from fake_model import FakeModel
from image_files import write
from run_fixtures import JUDGES, SUITE, fake_prompts, make_plan, make_site

from ablations.forecast import forecast
from ablations.plan import plan_work
from ablations.runner import run_work
from dalle2eval.models import Ensemble, open_system
from dalle2eval.records import InputError
from dalle2eval.store import Store

MIXED = SUITE.replace(
    "  guidance:",
    "  theirs: {reference: prior, model: images:DIR}\n  alone: images:DIR\n  guidance:",
)


def samples(folder, *, plain=(), without=()):
    for prompt in fake_prompts("fake/ten", 10):
        for seed in (0, 1):
            name = f"{prompt.id}-{seed}"
            rng = np.random.default_rng([int(prompt.id[1:]), seed])
            image = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
            if name not in without:
                write(folder / f"{name}.png", np.full_like(image, 90) if name in plain else image)
    return folder


def ensemble(main=None):
    return Ensemble(main or FakeModel(), "fake", open_system)


def mixed(tmp_path, *overrides, text=MIXED, folder=None, **choice):
    text = text.replace("DIR", str(folder or tmp_path / "drawn"))
    model = ensemble()
    plan = make_plan(tmp_path / "s.yaml", *overrides, text=text, model=model, **choice)
    return plan_work(plan, model, JUDGES), model


def test_a_suite_of_one_model_is_the_same_inside_an_ensemble(tmp_path):
    alone, inside = FakeModel(), ensemble()
    plans = [make_plan(tmp_path / "s.yaml", model=model) for model in (alone, inside)]
    assert plans[0].fingerprint == plans[1].fingerprint
    works = [plan_work(p, m, JUDGES) for p, m in zip(plans, (alone, inside), strict=True)]
    addresses = [[unit.address for unit in work.units] for work in works]
    assert addresses[0] == addresses[1]


def test_the_other_arms_keep_their_addresses_beside_a_foreign_one(tmp_path):
    samples(tmp_path / "drawn")
    work, _ = mixed(tmp_path)
    plain, _ = mixed(tmp_path, text=SUITE)
    by_arm = {arm.arm.name: arm for arm in work.arms}
    for arm in plain.arms:
        assert by_arm[arm.arm.name].judged.address == arm.judged.address
    assert "images" in {unit.stage for unit in work.units}
    assert by_arm["theirs"].arm.changes == {"model": f"images:{tmp_path / 'drawn'}"}
    assert by_arm["alone"].arm.settings == by_arm["theirs"].arm.settings
    assert all(drawn.shard.scored for drawn in by_arm["theirs"].drawn)


def test_naming_the_suites_own_model_changes_nothing(tmp_path):
    text = SUITE.replace("prior: {}", "prior: {model: reference:fake}")
    work, _ = mixed(tmp_path, text=text)
    assert work.arms[0].arm.settings == mixed(tmp_path, text=SUITE)[0].arms[0].arm.settings


def test_other_pictures_are_another_plan(tmp_path):
    samples(tmp_path / "drawn")
    before = mixed(tmp_path)[0].plan.fingerprint
    assert mixed(tmp_path)[0].plan.fingerprint == before
    samples(tmp_path / "drawn", plain=("p03-1",))
    assert mixed(tmp_path)[0].plan.fingerprint != before


def test_a_missing_picture_is_told_before_the_work(tmp_path):
    samples(tmp_path / "drawn", without=("p03-1",))
    with pytest.raises(InputError, match="prompt 'p03' has 1 pictures, for the seeds 0 to 0"):
        mixed(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("model: images:DIR}", "model: image:DIR}", 'no kind of model "image"; did you mean "im'),
        ("model: images:DIR}", "model: images:DIR/x}", "no such folder, zip or tar"),
        ("model: images:DIR}", "model: images:DIR, first_sed: 1}", "unknown model setting 'first_"),
        ("grid: {guidance_scale: [1.0, 3.0]", "grid: {model: ['images:DIR']", "no name for an arm"),
    ],
)
def test_a_wrong_arm_is_told_with_its_place(tmp_path, before, after, message):
    samples(tmp_path / "drawn")
    assert MIXED.count(before) == 1
    with pytest.raises(InputError) as caught:
        mixed(tmp_path, text=MIXED.replace(before, after))
    assert message in str(caught.value)
    assert "s.yaml:1" in str(caught.value)


def test_pictures_that_cannot_be_judged_are_counted_and_left_out(tmp_path):
    samples(tmp_path / "drawn", plain=("p00-0", "p04-1"))
    work, model = mixed(tmp_path)
    run_work(work, make_site(tmp_path / "run", tmp_path / "store", model=model))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    estimates = {
        (row["arm"], row["metric"]): row for row in summary["estimates"] if row["slice"] == "all"
    }
    assert estimates["prior", "fd_scenes"]["n"] == 20
    assert estimates["theirs", "fd_scenes"]["n"] == 18
    assert estimates["theirs", "clip_score"]["n"] == 18
    assert estimates["theirs", "clip_score"]["num_unscored"] == 2
    pairs = {
        (row["arm"], row["metric"]): row["n_pairs"]
        for row in summary["comparisons"]
        if row["slice"] == "all"
    }
    assert pairs["theirs", "fd_scenes"] == pairs["theirs", "clip_score"] == 18
    assert pairs["eps", "fd_scenes"] == 20
    assert summary["counts"]["theirs"]["unscored"] >= 2
    (note,) = [line for line in summary["notes"] if "arm theirs" in line]
    assert "could not be judged: 2 x one colour everywhere (90, 90, 90)." in note


def test_a_plan_says_what_the_missing_pictures_cost(tmp_path):
    text = MIXED.replace(
        "model: images:DIR}", "model: 'http:https://h/v1', side: 256, price_per_image: 0.04}"
    ).replace("  alone: images:DIR\n", "")
    work, _ = mixed(tmp_path, text=text)
    assert forecast(work, Store(tmp_path / "store"))["price"] == round(20 * 0.04, 2)
    plain, _ = mixed(tmp_path, text=SUITE)
    assert forecast(plain, Store(tmp_path / "store"))["price"] is None
