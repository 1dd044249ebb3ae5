"""Every built-in suite plans at every scale, and each of its arms is one change and has an effect.

No network is loaded: plans ask manifests, prompt sets and tables alone.
"""

import sys

import pytest
from fake_model import FakeModel
from run_fixtures import SUITE, make_plan

from ablations.catalogue import find_judge, judges_for, tables
from ablations.departures import departures
from ablations.loading import list_suites, load_suite
from ablations.plan import plan_work
from ablations.resolving import Choice, resolve
from ablations.trainings import repeats_of
from dalle2eval.prompts import load_prompts
from dalle2eval.records import InputError
from reference_model import load

OURS = ("best-of-k", "clip-dimensions", "guidance", "prior", "sampler", "thresholding")
SCALES = [(name, scale) for name in list_suites() for scale in ("smoke", "quick", "full")
          if scale == "quick" or scale in load_suite(name).suite.scales]  # fmt: skip


def planned(name, *overrides, scale=None, **choice):
    return resolve(
        load_suite(name, overrides, scale),
        load("scenes"),
        load_prompts=load_prompts,
        tables=tables(),
        choice=Choice(**choice),
        judged_by={},
    )


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_every_built_in_suite_plans_and_declares_what_it_changes(name, scale):
    plan = planned(name, scale=scale)
    known = {arm.name: arm for arm in plan.arms}
    repeats = {name for names in repeats_of(plan).values() for name in names}
    roots = [arm for arm in plan.arms if arm.reference is None and arm.name not in repeats]
    assert len(roots) == 1, "one reference arm is compared with nothing"
    for arm in plan.arms:
        if arm.reference is not None:
            base = known[arm.reference].settings
            differ = {key for key in base if arm.settings[key] != base[key]}
            if "train.stage" in differ:  # another prior is used by its setting
                differ.remove("prior")
            assert differ == set(arm.changes), (arm.name, differ)


@pytest.mark.parametrize("name", OURS)
def test_a_suite_of_inference_says_what_it_asks_finds_and_costs(name):
    suite = load_suite(name).suite
    assert suite.finding.source.startswith("arXiv ")
    assert suite.finding.expected is not None
    assert suite.question.endswith("?")
    assert suite.primary_metric == suite.finding.expected.metric
    assert set(suite.scales) == {"smoke", "full"}
    assert suite.scales["smoke"].cost.minutes <= 1.5
    assert suite.cost.minutes <= 15
    pictures = [scale.n * scale.samples_per_prompt for scale in suite.scales.values()]
    own = suite.prompts.n * suite.samples_per_prompt
    assert min(pictures) < own < max(pictures)


def test_planning_all_suites_of_inference_loads_no_network():
    code = (
        "import sys; sys.path.insert(0, 'tests');"
        "import test_suites_built_in as t;"
        "[t.planned(n) for n in t.OURS];"
        "sys.exit('torch' in sys.modules)"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arms_that_differ_in_the_decoder_share_the_priors_work():
    plan = planned("sampler", scale="smoke")
    judge = find_judge()
    work = plan_work(plan, load("scenes"), judges_for(plan, judge))
    stages = [unit.stage for unit in work.units]
    assert stages.count("conditioning") == 1
    assert stages.count("decoder") == len(plan.arms)
    calls = {}
    for arm in work.arms:
        calls[arm.arm.name] = arm.drawn[0].images[64].forward_passes
    assert calls["ddim-25"] == calls["dpm-25"] == calls["heun-13"] == 25
    assert (calls["heun-5"], calls["heun-3"], calls["ddpm-50"]) == (9, 5, 50)


def test_a_scale_changes_what_is_drawn_and_set_has_the_last_word():
    smoke = planned("sampler", scale="smoke")
    assert (len(smoke.prompts), len(smoke.seeds)) == (16, 1)
    assert planned("sampler", scale="quick").fingerprint == planned("sampler").fingerprint
    assert len(planned("sampler", "prompts.n=5", scale="smoke").prompts) == 5
    assert len(planned("sampler", scale="full", limit=3).prompts) == 3


def test_a_run_at_another_scale_says_so():
    loaded, plan = load_suite("prior", scale="smoke"), planned("prior", scale="smoke")
    told = departures(loaded, plan, Choice(), load_prompts)
    assert told[0] == "Changed run: scale smoke; as it is written, the suite is quick."
    assert any("prompts.n is 16 (the suite: 100)" in sentence for sentence in told)
    assert departures(load_suite("prior"), planned("prior"), Choice(), load_prompts) == ()


def test_an_unknown_scale_names_those_that_there_are():
    with pytest.raises(InputError, match=r'--scale huge: suite "prior" has no .* smoke, full, qu'):
        load_suite("prior", scale="huge")
    with pytest.raises(InputError, match=r'suite "gate" has no such scale; allowed: quick$'):
        load_suite("gate", scale="smoke")


COST = "cost: {minutes: 0.1, memory_mb: 100}"
SCALED = SUITE + "scales: {smoke: {n: 4, samples_per_prompt: 1, " + COST + "}}\n"


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (f"{{n: 0, samples_per_prompt: 1, {COST}}}", "s.yaml:13:18: scales.smoke.n: input should"),
        (
            f"{{n: 4, sample: 1, {COST}}}",
            'no field "scales.smoke.sample"; allowed: cost, n, samples_per_prompt, steps',
        ),
        (
            f"{{n: 4, samples_per_prompt: 1, seeds: 2, {COST}}}",
            'no field "scales.smoke.seeds"; did you mean "steps"? (allowed: cost, n, samples_per_',
        ),
    ],
)
def test_a_mistake_in_a_scale_is_told_at_its_place(tmp_path, scale, message):
    text = SUITE + f"scales: {{smoke: {scale}}}\n"
    with pytest.raises(InputError) as caught:
        make_plan(tmp_path / "s.yaml", text=text)
    assert message in str(caught.value)


def test_a_suite_of_the_users_own_has_scales_too(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(SCALED)
    loaded = load_suite(str(file), scale="smoke")
    assert loaded.suite.prompts.n == 4
    assert loaded.suite.samples_per_prompt == 1
    assert loaded.suite.cost.minutes == 0.1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("arms.none.threshold_quantile=0.9",), "threshold_quantile is 0.9 and changes nothing in"),
        (("arms.none.prior_sampler=heun",), ""),
        (("arms.none.upsampler_256_steps=2",), "changes nothing in arm none"),
        (("model.decoder_eta=0.3", "arms.none.decoder_sampler=ddpm"), "decoder_eta is 0.3; it is"),
        (("arms.none.decoder_sampler=ddpm-learned",), "has learned no variance"),
        (("model.upsampler_256_steps=7",), ""),
        (("model.guidance_interval=800-200",), "--set model.guidance_interval: guidance_interval"),
    ],
)
def test_a_setting_without_effect_or_against_another_is_told_before_the_work(overrides, message):
    if not message:
        planned("thresholding", *overrides)
        return
    with pytest.raises(InputError) as caught:
        planned("thresholding", *overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_setting_that_reaches_no_arm_is_told():
    with pytest.raises(InputError, match=r"_quantile is 0\.9 and changes nothing in any arm"):
        planned("best-of-k", "model.threshold_quantile=0.9")


def test_a_grid_may_hold_the_reference_arms_own_value(tmp_path):
    plan = make_plan(tmp_path / "s.yaml", model=FakeModel())
    assert "guidance-3.0" in [arm.name for arm in plan.arms]
