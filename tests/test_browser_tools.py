"""Continuous integration opens the pages in a browser, or says that it could not."""

import pytest
from browser_tools import AXE, CHROMIUM, IN_CI


@pytest.mark.skipif(not IN_CI, reason="a stranger needs no browser")
def test_ci_skips_no_browser_test_for_want_of_a_browser():
    assert CHROMIUM is not None
    assert AXE.exists()
