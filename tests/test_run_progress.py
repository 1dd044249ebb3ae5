"""The forecast follows what was measured; a stage that loads its network first misleads it not."""

import io
import time
from dataclasses import replace

import pytest
from run_fixtures import make_site, make_work

from ablations import progress
from ablations.executors import Done
from ablations.progress import Forecast, Lines, Silent, clock
from ablations.runner import run_work
from ablations.units import Unit
from dalle2eval.records import InputError


def units(stage, n, seconds=1.0):
    return [
        Unit(stage=stage, kind="json", samples=1, seconds=seconds, identity={"n": i}, perform=print)
        for i in range(n)
    ]


def made(unit, seconds):
    return Done(unit=unit, seconds=seconds, cached=False)


def test_before_anything_is_measured_the_yardstick_counts():
    assert Forecast(units("decoder", 4, seconds=2.5)).seconds_left == 10.0


def test_the_first_unit_of_a_stage_loads_and_does_not_count():
    work = units("decoder", 11)
    forecast = Forecast(work)
    forecast.note(made(work[0], 60.0))
    assert forecast.seconds_left == 10.0
    forecast.note(made(work[1], 2.0))
    assert forecast.seconds_left == 18.0


def test_a_stage_not_yet_measured_takes_the_ratio_of_the_others():
    decoder, probe = units("decoder", 2), units("probe", 3)
    forecast = Forecast([*decoder, *probe])
    forecast.note(made(decoder[0], 5.0))
    forecast.note(made(decoder[1], 3.0))
    assert forecast.seconds_left == pytest.approx(9.0)


def test_workers_share_what_is_left_until_there_is_one_unit_each():
    work = units("decoder", 5, seconds=10.0)
    forecast = Forecast(work, workers=4)
    assert forecast.seconds_left == 12.5
    for unit in work[:3]:
        forecast.note(Done(unit=unit, seconds=10.0, cached=False, workers=4))
    assert forecast.seconds_left == 10.0  # two units, so two of the four work
    forecast.note(Done(unit=work[3], seconds=10.0, cached=False, workers=1))
    assert forecast.seconds_left == 10.0


def test_plain_lines_tell_the_eta_from_the_start():
    stream, work = io.StringIO(), units("decoder", 3, seconds=30.0)
    lines = Lines(stream)
    lines.begin(work, 2)
    assert stream.getvalue() == "3 units to make, 2 in the store, ETA 1:30\n"


def test_a_unit_that_takes_long_is_no_silence_and_a_run_that_ends_is(monkeypatch):
    """A slow machine made one unit for 15 minutes, and nothing was said meanwhile."""
    monkeypatch.setattr(progress, "BEAT_EVERY_S", 0.02)
    stream = io.StringIO()
    lines = Lines(stream)
    lines.begin(units("decoder", 3), 0)
    give_up = time.monotonic() + 20
    while "at work on the next for 0:00" not in stream.getvalue() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert "\n0/3 units, at work on the next for 0:00\n" in stream.getvalue()
    lines.close()
    lines.beating.join(timeout=20)
    assert not lines.beating.is_alive()


def test_a_run_that_fails_closes_its_watcher(tmp_path):
    """Else a bar keeps the terminal, and the sign of life goes on after the error."""

    class Door(Silent):
        closed = False

        def close(self):
            self.closed = True

    class Broken:
        def run(self, units, store, workshop):
            raise InputError("no more")

    door = Door()
    site = make_site(tmp_path / "run", tmp_path / "store", executor=Broken())
    with pytest.raises(InputError, match="no more"):
        run_work(make_work(tmp_path / "s.yaml"), replace(site, watcher=door))
    assert door.closed


def test_a_clock_shows_hours_only_when_there_are_any():
    assert [clock(0), clock(59.6), clock(3599), clock(3600)] == ["0:00", "1:00", "59:59", "1:00:00"]
