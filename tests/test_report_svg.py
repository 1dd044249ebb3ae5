"""The plots as a picture of their own, for Markdown that no style sheet reaches."""

import re
from xml.etree import ElementTree

import pytest
from report_fixtures import write_run
from report_plans import a_plan

from dalle2eval.records import ArmSpec
from reports import read_run, render
from reports.forest import forests
from reports.plots import guidance_plots
from reports.svg import MAX_FORESTS, PAGE_WIDTH, svg


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "quick-1")


def texts(drawing):
    return {"".join(element.itertext()).strip() for element in drawing.iter()}


def test_every_arm_is_drawn_with_the_numbers_of_the_table(run_folder):
    run = read_run(run_folder)
    drawing = ElementTree.fromstring(svg(run))
    shown = " ".join(texts(drawing))
    for tree in forests(run)[:MAX_FORESTS]:
        assert tree.title in shown
        for whisker in tree.whiskers:
            assert whisker.text in shown
    assert guidance_plots(run)
    for plot in guidance_plots(run):
        assert plot.title in shown
        for point in plot.points:
            assert point.text in shown


def test_the_picture_needs_nothing_beside_it(run_folder):
    """A page shows it as an image: no style sheet, font or script of the page reaches it."""
    text = svg(read_run(run_folder))
    assert not re.search(r"(href|src|url\(|@import|<script)", text)
    used, known = set(re.findall(r"var\((--\w+)\)", text)), set(re.findall(r"(--\w+):", text))
    assert used <= known
    assert "light-dark" not in text


def test_every_mark_has_the_colour_of_its_verdict(run_folder):
    """The rules were called good and bad, the marks better and worse: nothing was coloured."""
    text = svg(read_run(run_folder))
    ruled = set(re.findall(r"\.([a-z]\w*) \{", text))
    used = {name for names in re.findall(r'class="([^"]*)"', text) for name in names.split()}
    assert {"better", "worse", "other"} <= ruled
    assert used <= ruled | {"same", "none"}  # the plain ink


def test_nothing_is_drawn_outside_the_picture(run_folder):
    drawing = ElementTree.fromstring(svg(read_run(run_folder)))
    assert float(drawing.get("width")) == PAGE_WIDTH
    places = [float(line.get(end)) for line in drawing.iter() for end in ("x1", "x2", "y1", "y2")
              if line.get(end)]  # fmt: skip
    assert places
    assert min(places) >= 0
    assert max(places) <= float(drawing.get("width"))


def test_hostile_names_stay_text(tmp_path):
    base = ArmSpec(
        name='a"><script>x</script>', reference=None, changes={}, settings={"guidance_scale": 3.0}
    )
    other = ArmSpec(
        name="]]>&amp;" * 20,
        reference=base.name,
        changes={"a": "b"},
        settings={"guidance_scale": 1.0},
    )
    folder = write_run(tmp_path / "hostile", a_plan(question="<b>&lt;?", arms=(base, other)))
    drawing = ElementTree.fromstring(svg(read_run(folder)))
    assert not [element for element in drawing.iter() if element.tag.endswith("script")]
    assert "<b>&lt;?" in texts(drawing)


def test_the_summary_shows_the_picture_that_lies_beside_it(run_folder, tmp_path):
    made = render(run_folder)
    assert "](plots.svg)" in made["md"].read_text("utf-8")
    assert made["svg"] == run_folder / "plots.svg"
    empty = render(write_run(tmp_path / "empty", pictures=False), ["md"])
    assert "plots.svg" not in empty["md"].read_text("utf-8")


def test_the_summary_alone_brings_its_picture(run_folder):
    (run_folder / "plots.svg").unlink(missing_ok=True)
    render(run_folder, ["md"])
    assert (run_folder / "plots.svg").exists()
