"""A number that is not known is printed once as unknown with its reason, never as an interval."""

import pytest
from cli_fixtures import call

from dalle2eval import api, comparing, scoring

REASON = "10 images in 64 dimensions have no full covariance"


def estimate(arm, value, low, high, reason=None):
    return {
        "arm": arm, "metric": "fd_scenes", "slice": "all", "value": value, "low": low,
        "high": high, "n": 10, "reason": reason,
    }  # fmt: skip


ESTIMATES = [
    estimate("prior", 12.5, 11.0, 14.25),
    estimate("eps", None, None, None, REASON),
    estimate("guidance-1", None, None, None, REASON),
]
SUMMARY = {"primary_metric": "fd_scenes", "estimates": ESTIMATES}
COMPARISON = {
    "arm": "eps", "reference": "prior", "metric": "fd_scenes", "slice": "all", "difference": None,
    "low": None, "high": None, "n_pairs": 10, "verdict": "not compared", "reason": REASON,
}  # fmt: skip


@pytest.fixture(autouse=True)
def finished(tmp_path, monkeypatch):
    monkeypatch.setattr(api, "run", lambda *_args, **_choices: tmp_path)
    monkeypatch.setattr(scoring, "score", lambda *_args, **_choices: tmp_path)
    monkeypatch.setattr(comparing, "compare", lambda *_args, **_choices: tmp_path)
    summary = {**SUMMARY, "comparisons": [COMPARISON], "flips": [], "notes": []}
    monkeypatch.setattr(api, "read_summary", lambda _folder: summary)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "whose"),
    [
        (["run", "quick", "--quiet"], "eps, guidance-1"),
        (["score", "images", "--quiet"], "fd_scenes"),
        (["compare", "a", "b"], "fd_scenes"),
    ],
)
def test_an_unknown_number_has_one_reason_and_no_interval(capsys, command, whose):
    told = call(capsys, *command).err
    assert "[unknown" not in told
    assert told.count(REASON) == 1
    assert f"unknown, {whose}: {REASON}\n" in told


def test_known_numbers_keep_their_interval(capsys):
    lines = call(capsys, "run", "quick", "--quiet").err.splitlines()
    row = next(line.split() for line in lines if line.startswith("prior"))
    assert row == ["prior", "12.5", "[11,", "14.25]", "10"]
    row = next(line.split() for line in lines if line.startswith("eps"))
    assert row == ["eps", "unknown", "10"]
