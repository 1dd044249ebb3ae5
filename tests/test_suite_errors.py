"""A suite with a mistake is answered with its place and what would be right, before any work."""

import pytest
from fake_model import FakeModel
from run_fixtures import SUITE, fake_prompts, make_plan

from ablations.loading import list_suites, load_suite
from dalle2eval.records import InputError


def refusal(tmp_path, text, *overrides, **choice):
    with pytest.raises(InputError) as caught:
        make_plan(tmp_path / "s.yaml", *overrides, text=text, **choice)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(tmp_path / "s.yaml"), "s.yaml")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("metrics:", "metriks:", 's.yaml:11:1: no field "metriks"; did you mean "metrics"?'),
        ("n: 10", "n: ten", "s.yaml:3:26: prompts.n: input should be a valid integer, got 'ten'"),
        ("n: 10", "m: 10", 's.yaml:3:26: no field "prompts.m"; allowed: file, format, n, set'),
        ("word: 256", "word: 255", "s.yaml:5:18: sizes.word: input should be 64, 256 or 1024"),
        ("  eps:", "  prior:", "s.yaml:9:3: 'prior' is given twice (first in line 8)"),
        ("  eps:", "  ../eps:", "s.yaml:9:3: an arm's name is of letters, digits"),
        ("prior: eps", "pior: eps", 's.yaml:9:27: no setting "pior"; did you mean "prior"?'),
        ("prior: eps", "prior: v", "s.yaml:9:27: prior is 'v'; allowed: x0, eps"),
        ("scale: [1.0", "scala: [1.0", 's.yaml:10:39: no setting "guidance_scala"; did you'),
        ("eps: {reference: prior", "eps: {reference: pior", 's.yaml:9:9: reference "pior" is no'),
        ("eps: {reference: prior", "eps: {reference: eps", "its own reference"),
        ("fd_scenes", "fid_scenes", 's.yaml:11:11: no metric "fid_scenes"; did you mean "fd_sc'),
        ("[composition]", "[compsition]", 's.yaml:12:10: no probe "compsition"; did you mean'),
        ("question: Does it work?\n", "", "s.yaml:1:1: the field question is missing"),
        ("arms:", "arms: [", "s.yaml:9:3: not valid YAML"),
        ("question: Does", "question: &a [*a]\nwas: Does", "anchors and aliases are not used"),
        ("question: Does", "question: !!python/name:os.system Does", "not valid YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, before, after, message):
    assert SUITE.count(before) == 1
    assert message in refusal(tmp_path, SUITE.replace(before, after))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.guidence_scale=2", '--set model.guidence_scale: no setting "guidence_scale"; did'),
        ("prompts.n=-1", "--set prompts.n: prompts.n: input should be greater than or equal to 1"),
        ("question.x=1", "--set question.x=1: question has no parts"),
        ("seed", "--set seed: expected PATH=VALUE"),
        ("metrics=[fd_scenes", "--set metrics=[fd_scenes: the value is not valid YAML"),
        ("arms.eps.guidance_scale=.nan", "a setting is a number, a text, true, false or null"),
        ("primary_metric=kid_scenes", '"kid_scenes" is not measured'),
    ],
)
def test_a_wrong_override_is_told_by_its_option(tmp_path, override, message):
    assert message in refusal(tmp_path, SUITE, override)


def test_an_unknown_suite_gets_a_near_match():
    with pytest.raises(InputError, match='no suite "quik"; did you mean "quick"'):
        load_suite("quik")


def test_an_unknown_arm_gets_a_near_match(tmp_path):
    assert '--arm: no arm "epps"; did you mean "eps"?' in refusal(tmp_path, SUITE, arms=("epps",))


def test_an_empty_file_a_list_and_no_text_are_no_suites(tmp_path):
    for content in (b"", b"[1, 2]", b"\xff\xfe"):
        (tmp_path / "s.yaml").write_bytes(content)
        with pytest.raises(InputError, match=r"s\.yaml"):
            load_suite(str(tmp_path / "s.yaml"))


def test_a_showcase_prompt_with_the_id_of_a_scored_one_is_refused(tmp_path):
    text = SUITE.replace("fake/shown", "fake/ten")
    assert "have ids in common" in refusal(tmp_path, text)


def test_an_arm_inherits_its_reference_arm(tmp_path):
    text = SUITE.replace("prior: {}", "prior: {decoder_steps: 5}")
    plan = make_plan(tmp_path / "s.yaml", text=text)
    by_name = {arm.name: arm for arm in plan.arms}
    assert list(by_name) == ["prior", "eps", "guidance-1.0", "guidance-3.0"]
    assert by_name["eps"].settings["decoder_steps"] == 5
    assert by_name["eps"].changes == {"prior": "eps"}
    assert by_name["guidance-1.0"].settings["guidance_scale"] == 1.0


def test_overrides_limit_and_seed_reach_the_plan(tmp_path):
    plan = make_plan(tmp_path / "s.yaml", "model.decoder_steps=2", arms=("eps",), limit=4, seed=7)
    assert [arm.name for arm in plan.arms] == ["eps"]
    assert plan.arms[0].reference is None
    assert plan.arms[0].settings["decoder_steps"] == 2
    assert plan.seeds == (7, 8)
    assert [p.id for p in plan.prompts] == [*(p.id for p in fake_prompts("fake/ten", 4)), "shown/0"]


def test_the_fingerprint_names_what_decides_the_numbers(tmp_path):
    base = make_plan(tmp_path / "s.yaml").fingerprint
    assert make_plan(tmp_path / "s.yaml").fingerprint == base
    assert make_plan(tmp_path / "s.yaml", seed=1).fingerprint != base
    other = FakeModel(weights="f" * 64)
    assert make_plan(tmp_path / "s.yaml", model=other).fingerprint != base


def test_every_built_in_suite_is_valid():
    assert "quick" in list_suites()
    for name in list_suites():
        assert load_suite(name).suite.question


FINDING = "finding: {says: it does, source: nowhere, expect: %s}\n"


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("fd_scene: eps worse than prior", 'has no metric "fd_scene"; did you mean "fd_scenes"?'),
        ("kid_scenes: eps worse than prior", 'has no metric "kid_scenes"'),  # known, not measured
        ("fd_scenes: epps worse than prior", 'has no arm "epps"; did you mean "eps"?'),
        ("fd_scenes: eps worse than piror", 'has no arm "piror"; did you mean "prior"?'),
        ("fd_scenes: guidance worse than prior", 'has no arm "guidance"; did you mean "guidance-'),
        ("clip_score: eps better than guidance-1.0", "has the other as reference"),
    ],
)
def test_an_expectation_that_no_run_can_confirm_is_told_with_its_place(tmp_path, expect, message):
    text = SUITE.replace("model:", FINDING % f'"{expect}"' + "model:")
    told = refusal(tmp_path, text)
    assert told.startswith("s.yaml:2:43: finding.expect: ")
    assert message in told


def test_an_expectation_may_name_probes_and_the_reference_first(tmp_path):
    expect = '"composition.colour: prior better than guidance-3.0"'
    text = SUITE.replace("model:", FINDING % expect + "model:")
    # The arm that it names need not be run: only the report says then that it cannot tell.
    plan = make_plan(tmp_path / "s.yaml", text=text, arms=("eps",))
    assert plan.finding["expect"].startswith("composition.colour")


def test_a_slice_that_no_prompt_belongs_to_is_told_with_its_place(tmp_path):
    told = refusal(tmp_path, SUITE.replace("word: 256", "wrod: 256"))
    assert told.startswith('s.yaml:5:18: no prompt of fake/ten is in a slice "wrod"; did you mean')
    assert '"word"' in told


def test_a_slice_is_known_even_where_the_limit_leaves_none_of_its_prompts(tmp_path):
    plan = make_plan(tmp_path / "s.yaml", limit=1)
    assert next(prompt.tags for prompt in plan.prompts) == ("single",)
    assert plan.options["sizes"]["word"] == 256


def test_a_size_that_the_model_does_not_make_is_told_with_its_place(tmp_path):
    class Small(FakeModel):
        def plan_stages(self, settings, size):
            if size > 256:
                raise ValueError(f"size is {size}; fake makes 64, 256")
            return super().plan_stages(settings, size)

    path = tmp_path / "s.yaml"
    with pytest.raises(InputError, match=r"s\.yaml:6:35: size is 1024; fake makes 64, 256"):
        make_plan(path, model=Small())
    text = SUITE.replace("word: 256", "word: 1024").replace("size: 1024", "size: 64")
    with pytest.raises(InputError, match=r"s\.yaml:5:18: size is 1024; fake makes 64, 256"):
        make_plan(path, text=text, model=Small())
