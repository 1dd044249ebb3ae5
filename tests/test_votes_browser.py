"""The voting page in a real browser: keyboard, resuming, a server that dies, a page without one.

Needs Debian's chromium and the Python package playwright; without them the other tests remain.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading

import pytest
from browser_tools import AXE, OPTIONS, needs_chromium, serious_violations
from test_votes_server import start
from vote_fixtures import a_study

from dalle2eval.records import InputError
from dalle2eval.votes.answers import import_answers
from dalle2eval.votes.page import write_static_page
from dalle2eval.votes.server import VoteServer
from dalle2eval.votes.store import VoteStore
from dalle2eval.votes.tally import tally

playwright = pytest.importorskip("playwright.sync_api")
playwright_async = pytest.importorskip("playwright.async_api")
pytestmark = needs_chromium
PATIENCE_MS = 120_000
KEYS = "12tb"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(**OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return a_study(tmp_path_factory.mktemp("votes"), pairs=4, checks=2)


@pytest.fixture
def page(browser, study):
    """Open the page without a server; refuse any console message or request when it is over."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    tab, heard = context.new_page(), []
    tab.on("console", lambda message: heard.append(message.text))
    tab.on("pageerror", lambda error: heard.append(str(error)))
    tab.on("request", lambda r: heard.append(r.url) if r.url.startswith("http") else None)
    tab.goto(write_static_page(study).as_uri())
    yield tab
    context.close()
    assert heard == []


def begin(page, name="dora"):
    """Type a name where the keyboard leads, and start."""
    page.keyboard.press("Tab")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    ready(page)


def ready(page):
    page.wait_for_selector('#vote [data-choice="left"][aria-disabled="false"]')


def answer(page, key):
    """Press a key and wait until the next pair, or the end, is there."""
    before = page.inner_text("#count")
    page.keyboard.press(key)
    page.wait_for_function(
        """(before) => !document.getElementById("done").hidden
          || (document.getElementById("count").textContent !== before
              && document.querySelector('[aria-disabled="false"]'))""",
        arg=before,
    )


def test_keyboard_alone_answers_all_and_the_saved_file_counts_once(page, study, tmp_path):
    begin(page)
    for i in range(6):
        assert page.inner_text("#count") == f"{i + 1} of 6"
        answer(page, KEYS[i % 4])
    assert page.is_visible("#done")
    with page.expect_download() as saving:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    saved = tmp_path / "answers.json"
    saving.value.save_as(saved)
    told = json.loads(saved.read_text())
    assert [vote["choice"] for vote in told["votes"]] == [
        {"1": "left", "2": "right", "t": "tie", "b": "bad"}[KEYS[i % 4]] for i in range(6)
    ]
    assert "secret-" not in saved.read_text()
    assert import_answers(study, saved)[0].new == 6
    assert import_answers(study, saved)[0].known == 6


def test_page_goes_on_after_it_was_closed(page):
    begin(page)
    answer(page, "1")
    answer(page, "t")
    shown = page.get_attribute("#left", "src")
    page.reload()
    ready(page)
    assert page.inner_text("#count") == "3 of 6"
    assert page.get_attribute("#left", "src") == shown


def test_pictures_have_words_and_a_hostile_prompt_stays_text(page):
    begin(page)
    assert page.get_attribute("#left", "alt") == "Left picture, pair 1 of 6"
    seen = []
    for _ in range(6):
        seen.append(page.inner_text("#prompt"))
        answer(page, "2")
    assert any("<script>" in text for text in seen)


def test_click_on_a_picture_votes_for_it(page):
    begin(page)
    page.click("#right")
    ready(page)
    assert page.inner_text("#count") == "2 of 6"
    chosen = page.evaluate("JSON.parse(Object.values(localStorage)[0]).votes.map((v) => v.choice)")
    assert chosen == ["right"]


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_axe_finds_nothing_serious(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    for step in (lambda: None, lambda: begin(page)):
        step()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if AXE.exists():
            assert serious_violations(page) == []
    box = page.locator('[data-choice="bad"]').bounding_box()
    assert box["y"] + box["height"] <= 844  # everything that is needed, without scrolling


def test_a_server_that_says_wait_is_not_called_silent(browser, tmp_path):
    """429 was told as "the server does not answer"."""
    with VoteServer(a_study(tmp_path, pairs=2, checks=1)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = browser.new_page()
        tab.goto(server.link)
        busy = {"status": 429, "json": {"error": "too many requests; wait a moment"}}
        tab.route("**/join", lambda route: route.fulfill(**busy))
        tab.fill("#name", "dora")
        tab.press("#name", "Enter")
        tab.wait_for_function("document.getElementById('status').textContent.includes('Trying')")
        assert "too many answers at once" in tab.inner_text("#status")
        tab.close()
        server.shutdown()


async def _vote_in_a_browser(chromium, link, name, keys):
    context = await chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    tab = await context.new_page()
    await tab.goto(link)
    await tab.fill("#name", name)
    await tab.press("#name", "Enter")
    await tab.wait_for_selector("#vote:not([hidden])")
    while not await tab.is_visible("#done"):
        await tab.keyboard.press(keys)
        await tab.wait_for_timeout(40)
    await context.close()


async def _three_voters(link):
    async with playwright_async.async_playwright() as driver:
        chromium = await driver.chromium.launch(**OPTIONS)
        names = {"anna": "1", "ben": "2", "chloe": "t"}
        voters = [_vote_in_a_browser(chromium, link, name, key) for name, key in names.items()]
        await asyncio.gather(*voters)
        await chromium.close()


def test_three_browsers_at_once_and_a_server_killed_in_mid_vote(tmp_path):
    study = a_study(tmp_path, pairs=6, checks=2)
    process, port = start(study)
    failed: list[BaseException] = []

    def vote():
        try:
            asyncio.run(_three_voters(f"http://127.0.0.1:{port}/"))
        except BaseException as error:
            failed.append(error)

    voting = threading.Thread(target=vote)  # the module's browser holds this thread's event loop
    voting.start()
    store = VoteStore(study.database, study.id)
    try:
        while voting.is_alive() and len(store.votes()) < 8:
            voting.join(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process, _ = start(study, port)
        voting.join(PATIENCE_MS / 1000)
    finally:
        process.kill()
        process.wait()
    assert not failed
    kept = store.votes()
    assert len(kept) == len({(vote.voter, vote.pair) for vote in kept}) == 3 * len(study.pairs)
    sides = {"anna": {True}, "ben": {False}}
    for voter, lefts in sides.items():
        assert {vote.choice == vote.left for vote in kept if vote.voter == voter} == lefts
    # Who always takes one side gets half of the checks wrong, who always ties all of them.
    with pytest.raises(InputError, match="all 3 voters failed"):
        tally(study)
