"""What the browser tests need: Debian's chromium, and axe-core from npm's folder.

A stranger without them skips those tests; continuous integration installs both (`.ci/run`) and
must not skip (`test_browser_tools.py`).
"""

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parent.parent / "node_modules" / "axe-core" / "axe.min.js"
OPTIONS = {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--disable-gpu"]}
IN_CI = bool(os.environ.get("CI"))

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="npm package axe-core is not installed")


def serious_violations(page) -> list[str]:
    """Return the ids of axe-core's serious and critical findings on an open page."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [each["id"] for each in found if each["impact"] in ("serious", "critical")]
