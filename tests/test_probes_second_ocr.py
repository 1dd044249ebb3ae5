"""A second OCR is a witness: it is asked where it is installed, and changes no score."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from dalle2eval.probes import tesseract, text_rendering
from dalle2eval.records import Prompt, SampleKey

SCRIPT = """#!{python}
import sys
if "--version" in sys.argv:
    print("tesseract 9.9.9\\n leptonica")
else:
    assert sys.stdin.buffer.read().startswith(b"\\x89PNG")
    print("{answer}\\n\\n")
    sys.exit({code})
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return what puts a tesseract that always gives one answer onto an otherwise empty PATH."""

    def put(answer="CAT", code=0):
        program = tmp_path / "tesseract"
        program.write_text(SCRIPT.format(python=sys.executable, answer=answer, code=code))
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    tesseract.tesseract_version.cache_clear()
    yield put
    tesseract.tesseract_version.cache_clear()


PICTURE = np.zeros((256, 256, 3), np.uint8)
PROMPT = Prompt(id="p", text='the word "CAT"', facts={"word": "CAT", "objects": []})
KEY = SampleKey(prompt_id="p", seed=0)


def _details(monkeypatch, first="CAT"):
    monkeypatch.setattr(text_rendering, "read_text", lambda _image: first)
    scores = text_rendering.grade(PICTURE, PROMPT, KEY)
    return {s.metric: s.value for s in scores}, scores[0].detail


def test_without_tesseract_nothing_is_claimed_of_it(install, monkeypatch):
    values, detail = _details(monkeypatch)
    assert values["text.exact"] == 1.0
    assert "second_read" not in detail
    assert text_rendering._second_opinion([PICTURE], ["cat"], ["cat"]) == ()


def test_disagreement_is_told_and_leaves_the_score_alone(install, monkeypatch):
    install("C A R")
    values, detail = _details(monkeypatch)
    assert values["text.exact"] == 1.0
    assert detail["second_read"] == "C A R"
    assert detail["agree"] is False


def test_both_are_tested_on_known_words_and_on_each_other(install):
    install("CAT")
    right, agreement = text_rendering._second_opinion(
        [PICTURE] * 4, ["cat", "cat", "cat", "dog"], ["cat", "", "cat", "dog"]
    )
    assert (right.judge, right.accuracy) == ("tesseract 9.9.9", 0.75)
    assert agreement.accuracy == 0.5
    assert agreement.passed


def test_a_tesseract_that_fails_is_no_witness(install, monkeypatch):
    install(code=3)
    assert tesseract.tesseract_version() == "tesseract 9.9.9"
    _, detail = _details(monkeypatch)
    assert "second_read" not in detail
