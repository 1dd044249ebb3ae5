"""Bad input is answered in a line or two with exit code 2, before any work, with no traceback."""

import json
import sys

import pytest
from cli_fixtures import call, hollow_model

from dalle2eval.records import InputError, NotComparable
from dalle2eval.store import DiskFullError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DALLE2EVAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("DALLE2EVAL_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("DALLE2EVAL_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    return hollow_model(tmp_path / "weights")


def refuse(capsys, *arguments):
    answer = call(capsys, *arguments)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert 1 <= len(answer.err.strip().splitlines()) <= 2
    assert "Traceback" not in answer.err
    return answer.err


HOLLOW = ("--set", "model.name=hollow")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["run", "quik"], 'no suite "quik"; did you mean "quick"?'),
        (["run", "missing.yaml"], "no suite file missing.yaml"),
        (["run", "quick", "--sede", "3"], "--seed"),
        (["run", "quick", "--seed", "-1"], "--seed"),
        (["run", "quick", "--seed", "99999999999999999999"], "--seed"),
        (["run", "quick", "--limit", "0"], "--limit"),
        (["run", "quick", "--device", "gpu"], 'no device "gpu"; allowed: auto, cpu, cuda'),
        (["plan", "quick", *HOLLOW, "--arm", "piror"], 'no arm "piror"; did you mean "prior"?'),
        (["plan", "quick", "--set", "model.name=scnes"], "no weights named 'scnes'"),
        (
            ["plan", "quick", *HOLLOW, "--set", "model.decoder_stepz=2"],
            "--set model.decoder_stepz: ",
        ),
        (["plan", "quick", *HOLLOW, "--set", "model.decoder_steps=0"], "from 1 to 1000"),
        (["plan", "quick", *HOLLOW, "--set", "prompts.set=scenes/quik"], '"scenes/quick"'),
        (["plan", "quick", *HOLLOW, "--set", "prompts.n=9999"], "--set prompts.n"),
        (["plan", "quick", *HOLLOW, "--set", "sizes.word=128"], "should be 64, 256 or 1024"),
        (
            ["plan", "quick", *HOLLOW, "--arm", "guidance-1", "--set", "model.guidance_scale=999"],
            "--set model.guidance_scale: guidance_scale is 999",
        ),
        (["sample", "x", "--model", "scenes-judge"], "no part 'decoder'"),
        (["sample", "", "--model", "hollow"], "a prompt is empty"),
        (["sample", "a \udcff", "--model", "hollow"], "a prompt is not UTF-8 text"),
        (["sample", "x", "--model", "hollow", "--size", "100"], "size is 100"),
        (["sample", "x", "--model", "hollow", "--set", "guidance_scale"], "expected NAME=VALUE"),
        (["sample", "x", "--model", "hollow", "--set", "guidance=2"], "guidance_scale"),
        (["report", "nowhere"], "nowhere"),
        (["train", "scnes", "--out", "w"], "scenes"),
        (["train", "scenes", "--out", "w", "--stage", "decodr"], "decoder"),
        (["train", "scenes", "--out", "w", "--data", "coco"], "--data coco: coco does not exist"),
        (["train", "scenes", "--out", "w", "--data", "scene"], 'did you mean "scenes"?'),
        (["train", "scenes", "--out", "w", "--preset", "tinny"], 'did you mean "tiny"?'),
        (["train", "scenes", "--out", "w", "--set", "loop.stepss=1"], 'did you mean "loop.steps"?'),
        (["train", "scenes", "--out", "w", "--set", "loop.steps"], "expected PATH=VALUE"),
        (["train", "scenes", "--out", "w", "--set", "loop.accumulate=0"], "allowed: at least 1"),
        (["train", "scenes", "--out", "w", "--set", "mix=broadd"], 'did you mean "broad"?'),
        (
            ["train", "scenes", "--out", "w", "--stage", "prior-noise-power", "--set", "mix=x"],
            "the stage prior-noise-power measures",
        ),
        (["list", "suits"], 'cannot list "suits"; did you mean "suites"?'),
        (["describe", "fd_scene"], 'did you mean "fd_scenes"?'),
        (["weights", "verify", "hollov"], "'hollov'"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(capsys, arguments, message):
    assert message in refuse(capsys, *arguments)


@pytest.mark.parametrize(
    ("command", "rest", "call_of", "told"),
    [
        ("run", ["quick"], "api.run", "what was made is kept; the same command goes on from it"),
        ("plan", ["quick"], "api.plan", "nothing was changed"),
        ("sample", ["x", "--out", "s"], "api.sample", "finished pictures are in the --out folder"),
        ("train", ["scenes", "--out", "w"], "training.train", "goes on from the last checkpoint"),
    ],
)
def test_an_interrupted_command_does_not_promise_what_another_would_keep(
    capsys, monkeypatch, command, rest, call_of, told
):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"dalle2eval.{call_of}", interrupted)
    answer = call(capsys, command, *rest)
    assert answer.code == 1
    assert answer.err.startswith("interrupted; ")
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1


def test_half_a_character_in_a_suite_is_found_before_any_work(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        'question: "What \\ud800?"\nmodel: {name: hollow}\narms: {a: {}}\n'
    )
    assert "mine.yaml:1:11: a value is not UTF-8 text" in refuse(capsys, "plan", "mine.yaml")


def test_a_broken_suite_is_told_with_its_line(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("question: What?\nmodel: {name: hollow}\narms:\n  a: [1\n")
    assert "mine.yaml:5:1: not valid YAML" in refuse(capsys, "run", "mine.yaml")


def test_altered_cut_and_missing_weights_are_refused_before_any_work(capsys, tmp_path, home):
    decoder = home / "decoder.safetensors"
    whole = decoder.read_bytes()
    for content in (b"X" + whole[1:], whole[:-1]):
        decoder.write_bytes(content)
        assert "decoder.safetensors is damaged or altered" in refuse(
            capsys, "run", "quick", *HOLLOW
        )
    decoder.unlink()
    assert "decoder.safetensors is missing" in refuse(capsys, "weights", "verify", "hollow")
    (home / "manifest.json").write_text("{")
    assert "manifest.json is damaged" in refuse(capsys, "plan", "quick", *HOLLOW)
    assert not (tmp_path / "runs").exists()


def test_an_unwritable_run_folder_is_refused_before_any_work(capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    err = refuse(capsys, "run", "quick", *HOLLOW, "--out", tmp_path / "file" / "run", "--quiet")
    assert "choose another place with --out" in err


def test_a_folder_that_is_no_run_is_left_alone(capsys, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    err = refuse(capsys, "run", "quick", *HOLLOW, "--out", tmp_path / "thesis", "--quiet")
    assert "is not empty and holds no run" in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no"), 2, "error: no"),
        (NotComparable("no"), 12, "error: no"),
        (DiskFullError("disk full: cannot write /x"), 1, "error: disk full: cannot write /x"),
        (OSError(28, "No space left"), 1, "error: [Errno 28] No space left; make room"),
        (KeyError("surprise"), 1, "error: KeyError: 'surprise'  (DALLE2EVAL_DEBUG=1 shows where)"),
        (RuntimeError("many\nlines\nhere"), 1, "error: many lines here"),
        (KeyboardInterrupt(), 1, "interrupted; nothing was changed"),
        (
            UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
            2,
            "not UTF-8 text",
        ),
    ],
)
def test_every_failure_has_its_exit_code_and_one_line(capsys, monkeypatch, error, code, line):
    from dalle2eval import api

    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(api, "plan", fail)
    answer = call(capsys, "plan", "quick")
    assert answer.code == code
    assert line in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_traceback_is_there_for_who_asks(capsys, monkeypatch):
    monkeypatch.setenv("DALLE2EVAL_DEBUG", "1")
    assert "Traceback" in call(capsys, "run", "quik").err


def test_json_is_one_document_and_nothing_else(capsys):
    answer = call(capsys, "plan", "quick", *HOLLOW, "--json")
    assert answer.code == 0
    forecast = json.loads(answer.out)
    assert forecast["cached"] == 0
    assert forecast["arms"][0] == "prior"
    assert forecast["stages"]["decoder"]["forward_passes"] > 0
    assert forecast["eta_s"] > 0


def test_a_plan_does_no_work(capsys, tmp_path):
    assert call(capsys, "plan", "quick", *HOLLOW).code == 0
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", ["suites", "metrics", "probes", "models", "features", "presets"])
def test_everything_listed_can_be_described(capsys, kind):
    names = json.loads(call(capsys, "list", kind, "--json").out)
    assert names
    for name in names:
        facts = json.loads(call(capsys, "describe", name, "--json").out)
        assert facts["name"] == name
        assert kind in facts


def test_described_defaults_are_those_that_a_picture_is_drawn_with(capsys):
    """The table's neutral values were shown, where the bundled weights have fitted ones."""
    from reference_model import load

    facts = json.loads(call(capsys, "describe", "scenes", "--json").out)
    shown = {name: knob["default"] for name, knob in facts["models"]["settings"].items()}
    assert shown == load("scenes").resolve_settings({})


def test_a_quiet_plan_is_one_line_and_a_quiet_training_none(capsys, monkeypatch, tmp_path):
    answer = call(capsys, "plan", "quick", *HOLLOW, "--quiet")
    assert answer.code == 0
    assert len(answer.err.splitlines()) == 1
    assert "ETA" in answer.err

    import reference_model.training

    def noisy(*_arguments, **_options):
        sys.stderr.write("step 1/2\n")

    monkeypatch.setattr(reference_model.training, "train", noisy)
    assert "step 1/2" in call(capsys, "train", "scenes", "--out", tmp_path / "w").err
    quiet = call(capsys, "train", "scenes", "--out", tmp_path / "w", "--quiet")
    assert quiet.code == 0
    assert quiet.err == f"weights: {tmp_path / 'w'}\n"


def test_a_repeat_of_a_training_does_not_go_on_from_the_first_ones_checkpoints(
    capsys, monkeypatch, tmp_path
):
    import reference_model.training

    asked = []
    monkeypatch.setattr(
        reference_model.training, "train", lambda *_, **options: asked.append(options)
    )
    for seed in ((), ("--seed", 3)):
        assert call(capsys, "train", "scenes", "--out", tmp_path / "w", *seed).code == 0
    assert [options["seed"] for options in asked] == [0, 3]
    assert asked[0]["work"] != asked[1]["work"]
