"""Reports: the page shows what the folder holds, offline, escaped, and within its budgets."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet
import pytest
from report_fixtures import write_run
from report_plans import a_plan

from dalle2eval.records import ArmSpec, InputError, Prompt
from reports import read_run, render
from reports.direction import balanced
from reports.facts_text import shorten
from reports.markdown import plain
from reports.pictures import Thumbnails
from reports.tables import arm_tables

HOSTILE = (
    '<script>alert(1)</script> & "quotes" </style><img src=x onerror=alert(2)>',
    "\u202eright to left \u2067override\u2069 and combining Z\u0351\u0343",
    "an emoji 🦊👩‍👩‍👧 and a flag 🏳️‍🌈",
    "x" * 10_000,
    "{{ 7 * 7 }} {% raw %} ${7*7} \\input{/etc/passwd} %s",
    "=HYPERLINK(1) | pipe | `tick` [link](javascript:alert(1))\nnew line",
)


class Page(HTMLParser):
    """Collects the tags of a page with their attributes, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "quick-1")


@pytest.fixture(scope="module")
def page(run_folder) -> Page:
    return Page(render(run_folder, ["html"])["html"].read_text("utf-8"))


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory) -> Path:
    plan = a_plan(
        question=f"What of {HOSTILE[0]}?",
        prompts=tuple(
            Prompt(id=f"p/{i}", text=text, tags=("single",)) for i, text in enumerate(HOSTILE)
        ),
        seeds=(0,),
        arms=(
            ArmSpec(
                name="base/../<b>x", reference=None, changes={}, settings={"guidance_scale": 3.0}
            ),
            ArmSpec(
                name="=cmd|'/c calc'!A1",
                reference="base/../<b>x",
                changes={"a<b": "</td>"},
                settings={"guidance_scale": 1.0},
            ),
        ),
    )
    return write_run(tmp_path_factory.mktemp("runs") / "hostile", plan)


def _assert_inert(page: Page) -> None:
    names = {name for name, _ in page.tags}
    assert not names & {"iframe", "object", "embed", "form", "link", "base"}
    assert page.all("script") == [{}]  # our own one, inline
    for name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")], name
        for key in ("src", "href", "srcset", "poster", "background", "action", "xlink:href"):
            place = attributes.get(key)
            assert place is None or re.match(
                r"data:image/webp;base64,|#[a-z-]+$|samples/|summary\.", place
            )


def test_page_makes_no_request_and_allows_no_script_but_its_own(page, run_folder):
    _assert_inert(page)
    assert page.all("img")
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    text = (run_folder / "report.html").read_text("utf-8")
    script = text[text.index("<script>") + len("<script>") : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]


def test_style_sheet_loads_nothing(run_folder):
    text = render(run_folder, ["html"])["html"].read_text("utf-8")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"""(src|href)=["']https?:""", text)


def test_every_picture_has_a_text_and_an_original(page, run_folder):
    assert all(image.get("alt") for image in page.all("img"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
    originals = [a["href"] for a in page.all("a") if a.get("href", "").startswith("samples/")]
    assert len(originals) >= 6 * 24
    assert all((run_folder / place).is_file() for place in originals)


def test_top_of_page_is_question_then_answer_then_finding(page):
    places = [
        page.text.index(part)
        for part in (
            "What does the prior buy",
            "By Fréchet distance",
            "This run agrees with",
            "arXiv 2204.06125",
        )
    ]
    assert places == sorted(places)
    assert places[-1] < page.text.index("Arms and numbers")


def test_every_arm_metric_interval_and_difference_is_in_the_table(page, run_folder):
    run = read_run(run_folder)
    text = " ".join(page.text.split())
    for table in arm_tables(run):
        for row in table.rows:
            for cell in row.cells:
                assert (cell.value or f"not known: {cell.reason}") in text
                assert cell.interval in text
                assert cell.difference is None or cell.difference.text in text
    shown = {column.metric for table in arm_tables(run) for column in table.columns}
    assert shown == set(run.metrics)


def test_reference_arm_is_not_compared_with_itself(run_folder):
    for table in arm_tables(read_run(run_folder)):
        assert table.rows[0].name == "prior"
        assert all(cell.difference is None for cell in table.rows[0].cells)


def test_best_value_follows_the_metrics_direction(run_folder):
    table = arm_tables(read_run(run_folder))[0]
    best = {
        column.metric: [row.name for row in table.rows if row.cells[i].best]
        for i, column in enumerate(table.columns)
    }
    assert best["fd_scenes"] == ["guidance-4"]  # lowest of 4.9, 5.2, 10, 5.5, 13, 4.6
    assert best["vendi_scenes"] == ["guidance-4"]  # highest


def test_no_arm_is_best_where_all_are_equal(run_folder):
    run = read_run(run_folder)
    known = {key: e for key, e in run.estimates.items() if e.value is not None}
    level = {key: replace(e, value=0.5, low=0.4, high=0.6) for key, e in known.items()}
    for table in arm_tables(replace(run, estimates=level)):
        assert not [cell for row in table.rows for cell in row.cells if cell.best]


def test_unknown_number_is_shown_with_its_reason_never_as_zero(page, run_folder):
    assert "not known: one seed a prompt has no pairs" in " ".join(page.text.split())
    made = render(run_folder, ["csv", "tex", "md"])
    rows = list(csv.DictReader(made["csv"].open(encoding="utf-8")))
    row = next(
        r for r in rows if (r["arm"], r["metric"]) == ("caption-only", "diversity_within_prompt")
    )
    assert row["value"] == ""
    assert row["reason"] == "one seed a prompt has no pairs"
    assert "not known" in made["tex"].read_text()
    assert not re.search(r"\bnan\b", made["md"].read_text("utf-8").lower())


def test_failures_show_what_was_asked_and_read(page, run_folder):
    run = read_run(run_folder)
    wrong = next(
        s
        for _, s in run.all_scores()
        if s.metric == "text.exact" and s.value == 0 and s.detail["read"]
    )
    text = " ".join(page.text.split())
    assert f"asked: “{wrong.detail['asked']}”" in text
    assert f"read: “{wrong.detail['read']}”" in text


def test_hostile_prompts_and_names_stay_text_in_the_page(hostile_folder):
    page = Page(render(hostile_folder, ["html"])["html"].read_text("utf-8"))
    _assert_inert(page)
    for prompt in HOSTILE:
        assert " ".join(prompt.split())[:150] in " ".join(page.text.split())
    assert "x" * 10_000 in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "base/../<b>x" in page.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\u202eabc", "\u202eabc\u202c"),
        ("\u2067a\u202bb", "\u2067a\u202bb\u202c\u2069"),
        ("a\u2069\u202cb", "ab"),  # ends of nothing
        ("\u2066a\u202eb\u2069c", "\u2066a\u202eb\u2069c"),  # the isolate ends what is in it
        ("\u202ea\u202c", "\u202ea\u202c"),
        ("\u202ea\u2066b\u202cc", "\u202ea\u2066bc\u2069\u202c"),  # no end across an isolate
    ],
)
def test_direction_marks_do_not_leak_out_of_a_text(text, shown):
    assert balanced(text) == shown


def test_direction_marks_end_before_what_stands_after_a_prompt(hostile_folder):
    page = render(hostile_folder, ["html"])["html"].read_text("utf-8")
    assert "\u2069 and combining Z\u0351\u0343\u202c</bdi>" in page
    assert plain("\u202eturned") == "\u202eturned\u202c"
    assert shorten("\u202e" + "x" * 200).endswith("…\u202c")


def test_hostile_names_stay_text_in_spreadsheet_latex_and_markdown(hostile_folder):
    made = render(hostile_folder, ["csv", "tex", "md", "parquet"])
    arms = {row["arm"] for row in csv.DictReader(made["csv"].open(encoding="utf-8", newline=""))}
    assert arms == {"base/../<b>x", "'=cmd|'/c calc'!A1"}
    markdown = made["md"].read_text("utf-8")
    assert "<script" not in markdown.replace(r"\<script", "")
    assert r"=cmd\|'/c" in markdown
    assert (
        pyarrow.parquet.ParquetFile(made["parquet"]).read().column("arm")[0].as_py()
        == "base/../<b>x"
    )
    assert r"\textless{}/style\textgreater{}" in made["tex"].read_text("utf-8")


def test_latex_escapes_every_special_character():
    from reports.latex import escape

    assert escape("50%_a & {x} #1 $~^\\") == (
        r"50\%\_a \& \{x\} \#1 \$\textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert escape('N < 2d > "|"') == (  # TeX's own first font prints others in their place
        r"N \textless{} 2d \textgreater{} \texttt{\char34}\textbar{}\texttt{\char34}"
    )


def test_a_row_is_not_read_as_the_argument_of_the_line_before_it(tmp_path):
    arms = tuple(
        ArmSpec(name=name, reference=None, changes={}, settings={"guidance_scale": 3.0})
        for name in ("[2cm] wide", "*starred")
    )
    tex = render(write_run(tmp_path / "run", a_plan(arms=arms)), ["tex"])["tex"].read_text("utf-8")
    rows = [line for line in tex.splitlines() if "wide &" in line or "starred &" in line]
    assert rows
    assert all(row.startswith(("{}[2cm]", "{}*")) for row in rows)


def test_run_without_images_still_renders_and_says_so(tmp_path):
    made = render(
        write_run(tmp_path / "empty", pictures=False), ("html", "md", "csv", "tex", "parquet")
    )
    text = Page(made["html"].read_text("utf-8")).text
    assert "no image of this run was scored" in text
    assert "No picture was made." in text
    assert "no image of this run was scored" in made["md"].read_text("utf-8")


def test_page_keeps_its_budget_and_says_what_it_left_out(run_folder):
    run = read_run(run_folder)
    thumbnails = Thumbnails(run.folder, budget_bytes=4_000)
    shown = [picture for picture in run.gallery if thumbnails.uri(picture)]
    assert 0 < len(shown) < len(run.gallery)
    assert thumbnails.spent_bytes <= 4_000
    assert len(thumbnails.left_out) == len(run.gallery) - len(shown)


def test_rendering_twice_gives_the_same_bytes(run_folder):
    formats = ("html", "md", "csv", "tex", "parquet")
    first = {name: path.read_bytes() for name, path in render(run_folder, formats).items()}
    second = {name: path.read_bytes() for name, path in render(run_folder, formats).items()}
    assert first == second
    assert len(first["html"]) < 8_000_000
    assert not [path for path in run_folder.iterdir() if "tmp" in path.name]


def test_rendering_needs_neither_torch_nor_pandas_nor_matplotlib(run_folder):
    code = (
        "import sys, reports; reports.render(sys.argv[1]);"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, run_folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_unknown_format_names_a_near_match(run_folder):
    with pytest.raises(InputError, match=r'"htm" is unknown.*did you mean "html"'):
        render(run_folder, ["htm"])


def test_json_is_the_runners_own_file_and_is_left_as_it_is(run_folder):
    before = (run_folder / "summary.json").read_bytes()
    path = render(run_folder, ["json"])["json"]
    assert path.read_bytes() == before
    assert json.loads(before)["suite"] == "quick"
