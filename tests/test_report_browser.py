"""Reports in a real browser: filters, lightbox, keyboard, schemes; no console error, no request.

Needs Debian's chromium and the Python package playwright; without them the text tests remain.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_tools import OPTIONS, needs_axe, needs_chromium, serious_violations
from report_fixtures import write_run
from report_plans import a_plan

from dalle2eval.records import ArmSpec, Plan, Prompt
from reports import read_run, render

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = needs_chromium

LONG_NAME = "a" * 64
LONG_PROMPT = "a very long prompt " + "x" * 10_000
TURNED = "\u202eevery letter from the right \u2067and an isolate"
ODD_PROMPTS = ("a red circle", LONG_PROMPT, "a blue square", TURNED)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return render(write_run(tmp_path_factory.mktemp("runs") / "quick"), ["html"])["html"]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(**OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def odd_report(tmp_path_factory) -> Path:
    """Return a report of twelve arms with long names and of odd prompts."""
    return render(write_run(tmp_path_factory.mktemp("runs") / "odd", odd_plan()), ["html"])["html"]


@pytest.fixture
def page(browser, report):
    """Open the report, and refuse any console message or request when the test is over."""
    yield from opened(browser, report)


@pytest.fixture
def odd_page(browser, odd_report):
    """Open the report of odd names and prompts, as `page` does."""
    yield from opened(browser, odd_report)


def odd_plan() -> Plan:
    names = [LONG_NAME, *(f"text-embedding-at-{scale}.0" for scale in range(1, 12))]
    return a_plan(
        prompts=tuple(
            Prompt(id=f"odd-{i}", text=text, tags=("single",)) for i, text in enumerate(ODD_PROMPTS)
        ),
        arms=tuple(
            ArmSpec(
                name=name,
                reference=None if name == LONG_NAME else LONG_NAME,
                changes={},
                settings={"guidance_scale": 3.0},
            )
            for name in names
        ),
        seeds=(0,),
    )


def opened(browser, report):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab, heard = context.new_page(), []
    tab.on("console", lambda message: heard.append(message.text))
    tab.on("pageerror", lambda error: heard.append(str(error)))
    tab.on("request", lambda r: heard.append(r.url) if r.url.startswith("http") else None)
    tab.goto(report.as_uri())
    yield tab
    context.close()
    assert heard == []


def visible_rows(page) -> list[str]:
    return page.locator("#pictures .row:not([hidden]) .asked bdi").all_inner_texts()


def test_search_and_tag_leave_only_what_fits(page):
    total = page.locator("#pictures .row").count()
    page.fill("#browse-q", "river")
    rows = visible_rows(page)
    assert rows
    assert all("RIVER" in text for text in rows)
    assert page.inner_text("#browse-count") == f"{len(rows)} of {total} rows"
    page.fill("#browse-q", "no such prompt")
    assert page.is_visible("#browse-none")
    page.click("#browse-reset")
    assert len(visible_rows(page)) == total
    page.select_option("#browse-tag", "count")
    assert all("three" in text or "four" in text for text in visible_rows(page))


def test_filter_finds_what_one_arm_got_right_and_another_wrong(page, report):
    page.select_option("#browse-probe", "composition.binding")
    page.select_option("#browse-a", label="prior")
    page.select_option("#browse-av", "right")
    page.select_option("#browse-b", label="guidance-1")
    page.select_option("#browse-bv", "wrong")
    run = read_run(report.parent)
    values = {
        (arm, s.key): s.value for arm, s in run.all_scores() if s.metric == "composition.binding"
    }
    expected = [
        key
        for arm, key in values
        if arm == "prior" and values["prior", key] == 1 and values["guidance-1", key] == 0
    ]
    assert expected
    assert len(visible_rows(page)) == len(expected)


def test_filtered_view_can_be_sent_as_an_address(page, report):
    page.fill("#browse-q", "cat")
    page.select_option("#browse-sort", "clip_score")
    address = page.evaluate("location.href")
    rows = visible_rows(page)
    page.goto("about:blank")
    page.goto(address)
    assert visible_rows(page) == rows
    assert page.input_value("#browse-sort") == "clip_score"


def test_sort_puts_the_greatest_difference_first(page):
    page.select_option("#browse-sort", "clip_score")
    gaps = page.evaluate(
        """() => [...document.querySelectorAll("#pictures .rows")].map((group) =>
          [...group.querySelectorAll(".row")].map((row) => {
            const tiles = [...row.querySelectorAll(".tile")];
            const [a, b] = tiles.map((tile) => JSON.parse(tile.dataset.scores).clip_score);
            return a === undefined ? null : a - b;
          }))"""
    )
    for group in gaps:
        known = [gap for gap in group if gap is not None]
        assert known == sorted(known, reverse=True)


def test_keyboard_alone_opens_walks_and_closes_the_lightbox(page):
    page.focus("#pictures .row a.picture")
    page.keyboard.press("Enter")
    assert page.is_visible("#lightbox")
    first = page.get_attribute("#box-below", "src")
    assert page.inner_text("#box-arm") == "prior"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#box-arm") == "prior-eps"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#box-below", "src") != first
    page.keyboard.press("Escape")
    assert not page.is_visible("#lightbox")
    assert page.evaluate("document.activeElement.className") == "picture"


def test_a_prompt_of_10_000_characters_is_found_and_named_in_the_lightbox(odd_page):
    """Folded inside a paragraph it fell out of its row, and the script stopped there."""
    odd_page.fill("#browse-q", "very long")
    row = odd_page.locator("#pictures .row:not([hidden])")
    assert row.count() == 1
    row.locator("a.picture").first.click()
    assert odd_page.inner_text("#box-prompt").startswith("a very long prompt xxx")
    odd_page.keyboard.press("Escape")
    odd_page.click("#browse-reset")
    odd_page.locator("#pictures a.picture").first.click()
    asked, seen = odd_page.locator("#pictures .row .asked > :first-child").all_inner_texts(), []
    for _ in asked:
        seen.append(odd_page.inner_text("#box-prompt")[:10])
        odd_page.keyboard.press("ArrowDown")
    assert seen == [prompt[:10] for prompt in asked]


def test_slider_and_difference_lay_two_arms_over_each_other(page):
    page.click("#pictures .row a.picture")
    page.select_option("#box-versus", label="guidance-1")
    page.locator("#box-slider").fill("30")
    assert "30%" in page.evaluate("document.getElementById('box-above').style.clipPath")
    page.check("#box-difference")
    style = page.evaluate("document.getElementById('box-above').style.mixBlendMode")
    assert style == "difference"
    assert page.inner_text("#box-arm") == "prior | guidance-1"


def test_no_arm_is_laid_over_itself(page):
    """The choice of the last picture stayed: "prior-eps | prior-eps"."""
    page.click("#pictures .row a.picture")
    page.select_option("#box-versus", label="prior-eps")
    page.focus("#box-close")  # out of the choice, whose arrows are its own
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#box-arm") == "prior-eps"
    assert not page.is_visible("#box-above")
    page.keyboard.press("Escape")
    page.locator("#pictures .row a.picture").nth(2).click()
    assert page.input_value("#box-versus") == ""
    assert " | " not in page.inner_text("#box-arm")


def test_table_sorts_by_a_column_and_back(page):
    arms = "table.numbers-table >> nth=0 >> tbody th .arm"
    planned = page.locator(arms).all_inner_texts()
    page.click("table.numbers-table >> nth=0 >> text=Fréchet distance")
    assert [name.strip() for name in page.locator(arms).all_inner_texts()] == [
        "guidance-4", "prior", "prior-eps", "caption-only", "text-embedding", "guidance-1",
    ]  # fmt: skip
    for _ in range(2):
        page.click("table.numbers-table >> nth=0 >> text=Fréchet distance")
    assert page.locator(arms).all_inner_texts() == planned


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scheme_follows_the_system_and_the_toggle_overrules_it(page, scheme):
    page.emulate_media(color_scheme=scheme)
    paper = "getComputedStyle(document.body).backgroundColor"
    followed = page.evaluate(paper)
    other = "dark" if scheme == "light" else "light"
    page.click(f"label[for=scheme-{other}]")
    assert page.evaluate(paper) != followed
    page.click("label[for=scheme-auto]")
    assert page.evaluate(paper) == followed


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_page_never_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1440, 390])
def test_long_arm_names_break_inside_their_tiles(odd_page, width):
    """As flex items they kept their whole width, over the neighbours and out of the page."""
    odd_page.set_viewport_size({"width": width, "height": 900})
    odd_page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert odd_page.evaluate("document.documentElement.scrollWidth") <= width
    over = odd_page.evaluate(
        """() => [...document.querySelectorAll("#pictures .tile")].filter((tile) => {
          const text = document.createRange();
          text.selectNodeContents(tile.querySelector(".arm"));
          return text.getBoundingClientRect().right > tile.getBoundingClientRect().right + 1;
        }).length"""
    )
    assert over == 0


def test_direction_marks_of_a_prompt_end_with_it(odd_page):
    """An isolate left open took the end of the page's own, and the override turned the seed."""
    odd_page.fill("#browse-q", "every letter")
    seed = odd_page.locator("#pictures .row:not([hidden]) .asked small").first
    assert seed.inner_text().startswith("seed 0")
    first, last = seed.evaluate(
        """(node) => [0, 5].map((place) => {
          const letter = document.createRange();
          letter.setStart(node.firstChild, place);
          letter.setEnd(node.firstChild, place + 1);
          return letter.getBoundingClientRect().left;
        })"""
    )
    assert first < last


def test_page_without_script_shows_every_picture(browser, report):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(report.as_uri())
    assert not tab.is_visible("#browser")
    assert tab.locator("#pictures img").count() == tab.locator("#pictures a.picture").count() > 0
    context.close()


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, report, scheme):
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(report.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    found = serious_violations(tab)
    context.close()
    assert found == []
