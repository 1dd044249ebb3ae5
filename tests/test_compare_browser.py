"""A comparison in a real browser: its flips open by keyboard, fit a phone, and ask for nothing."""

import pytest
from browser_tools import OPTIONS, needs_chromium
from report_fixtures import write_run
from report_plans import a_plan
from test_gate_calibration import contribute

from dalle2eval.comparing import compare

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    arms = tuple(arm for arm in a_plan().arms if arm.name in ("prior", "guidance-1"))
    run = contribute(write_run(folder / "run", a_plan(arms=arms, seeds=(0,))))
    return compare(f"{run}:prior", f"{run}:guidance-1", out=folder / "out") / "report.html"


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_flips_open_by_keyboard_and_never_scroll_the_page_sideways(report, width):
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(**OPTIONS)
        tab, heard = chromium.new_page(viewport={"width": width, "height": 900}), []
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.on("request", lambda r: heard.append(r.url) if r.url.startswith("http") else None)
        tab.goto(report.as_uri())
        closed = tab.locator("#flips details:not([open]) > summary")
        number = closed.count()
        assert number > 0
        closed.first.focus()
        tab.keyboard.press("Enter")
        assert closed.count() == number - 1
        for summary in closed.all():
            summary.evaluate("node => node.parentElement.open = true")
        pictures = tab.locator("#flips .flip img")
        assert pictures.count() == 2 * tab.locator("#flips .flip").count() > 0
        sizes = pictures.evaluate_all(
            "nodes => nodes.map(node => node.getBoundingClientRect().width)"
        )
        assert min(sizes) > 60
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        chromium.close()
    assert heard == []
