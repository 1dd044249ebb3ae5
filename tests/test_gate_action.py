"""The composite action passes its inputs on, keeps the exit code, and runs no input as program."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ACTION = Path(__file__).parent.parent / ".github/actions/dalle2eval-gate/action.yml"


@pytest.fixture
def call(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text(
        '#!/bin/bash\nprintf "%s\\n" "$*" >> "$LOG"\n[ "$2" = gate ] && [ "$3" != x ] || exit 0\n'
        "exit 10\n"
    )
    tool.chmod(0o755)

    def run(**inputs):
        action = yaml.safe_load(ACTION.read_text())
        (step,) = action["runs"]["steps"]
        given = {name: fact["default"] for name, fact in action["inputs"].items()}
        given |= {"command": f"{tool} cli", "out": "out dir", **inputs}
        names = {name: value.split("inputs.")[1].split()[0] for name, value in step["env"].items()}
        environment = {variable: given[name] for variable, name in names.items()}
        paths = {"LOG": tmp_path / "log", "GITHUB_OUTPUT": tmp_path / "output"}
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            env={
                "PATH": os.environ["PATH"],
                **environment,
                **{k: str(v) for k, v in paths.items()},
            },
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        log = paths["LOG"].read_text().splitlines() if paths["LOG"].exists() else []
        return done.returncode, log, paths["GITHUB_OUTPUT"].read_text()

    return run


def test_a_baseline_is_checked_after_the_run_and_the_verdict_is_the_exit_code(call):
    code, log, output = call(baseline="b.json", strict="true", floors="f.json")
    assert log == [
        "cli run gate --out out dir/head",
        "cli gate check --baseline b.json --markdown out dir/gate.md --junit out dir/gate.xml "
        "--strict --floors f.json -- out dir/head",
    ]
    assert code == 10
    assert output == "exit-code=10\n"


def test_a_commit_is_run_against_and_a_hostile_name_runs_nothing(call, tmp_path):
    code, log, _ = call(against='"; touch pwned; $(touch pwned)')
    assert code == 10
    assert log[0].endswith('-- "; touch pwned; $(touch pwned)')
    assert not (tmp_path / "pwned").exists()


def test_without_either_it_is_bad_usage(call):
    assert call()[0] == 2


def test_no_input_stands_in_the_program_text():
    (step,) = yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    assert "${{" not in step["run"]
