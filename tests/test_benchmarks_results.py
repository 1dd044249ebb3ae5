"""A benchmark whose command is wrong, or whose numbers name no machine, proves nothing."""

import ast
import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if "def main(" in path.read_text("utf-8"))
RESULTS = sorted((FOLDER / "results").glob("*.json"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_command_in_the_docstring_is_one_that_the_script_takes(script):
    source = script.read_text("utf-8")
    commands = re.findall(r"python benchmarks/(\S+)(.*)", ast.get_docstring(ast.parse(source)))
    assert [name for name, _ in commands] == [script.name]
    for flag in re.findall(r"--[a-z-]+", commands[0][1]):
        assert f'"{flag}"' in source, flag


@pytest.mark.parametrize("result", RESULTS, ids=lambda path: path.stem)
def test_results_name_the_machine_that_they_were_measured_on(result):
    machine = json.loads(result.read_text("utf-8"))["machine"]
    assert {"cpu", "cores", "memory_gb", "python", "packages"} <= set(machine)
    assert machine["cores"] >= 1
