"""The walls of the house stand, and its front door opens fast and lets nothing heavy in."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "pandas", "matplotlib", "scipy", "pyarrow", "open_clip", "numpy", "ray")
TORCH_FREE = (
    "dalle2eval.records",
    "dalle2eval.store",
    "dalle2eval.metrics",
    "dalle2eval.statistics",
    "dalle2eval.evaluate",
    "dalle2eval.prompts",
    "reports.rendering",
    "ablations.runner",
    "ablations.catalogue",
)
HELP_LIMIT_S = 0.8


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_import_contract_is_kept():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["weights", "--help"]])
def test_help_imports_nothing_heavy(command):
    found = python(
        "import sys, json\n"
        f"sys.argv = ['dalle2eval', *{command!r}]\n"
        "from dalle2eval.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    assert json.loads(found.splitlines()[-1]) == []


def test_help_is_there_at_once():
    def seconds():
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "dalle2eval", "--help"], check=True, capture_output=True
        )
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) <= HELP_LIMIT_S


def test_what_must_run_without_torch_does():
    code = f"import sys, {', '.join(TORCH_FREE)}; print('torch' in sys.modules)"
    assert python(code).strip() == "False"


def test_a_plan_that_trains_nothing_imports_no_torch():
    """Suites that train need it; when all plans did, a finished `quick` took 7 s more to say so."""
    code = "import sys, dalle2eval; dalle2eval.plan('quick'); print('torch' in sys.modules)"
    assert python(code).strip().splitlines()[-1] == "False"


def test_the_package_imports_nothing_until_asked():
    code = "import sys, dalle2eval; print([m for m in ('numpy', 'typer') if m in sys.modules])"
    assert python(code).strip() == "[]"


def test_the_front_door_in_python_has_the_commands_names():
    import dalle2eval

    for name in dalle2eval.__all__:
        assert callable(getattr(dalle2eval, name))
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = dalle2eval.rnu
