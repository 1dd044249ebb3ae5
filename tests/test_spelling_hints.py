"""A near match is called one, what is allowed is all of it, and the model's twin says the same."""

import pytest

import dalle2eval.spelling
import reference_model.spelling

MANY = [f"setting_{k}" for k in range(40)]


@pytest.fixture(params=[dalle2eval.spelling, reference_model.spelling], ids=["house", "model"])
def nearest(request):
    return request.param.nearest


def test_a_near_match_is_not_shown_as_all_that_is_allowed(nearest):
    assert nearest("prio", ("prior", "text-embedding")) == (
        '; did you mean "prior"? (allowed: prior, text-embedding)'
    )


def test_a_long_list_does_not_bury_the_near_match(nearest):
    assert nearest("settin_7", MANY) == '; did you mean "setting_7"?'


def test_without_a_near_match_what_is_allowed_is_listed_in_its_order(nearest):
    assert nearest("zzz", ("x0", "eps")) == "; allowed: x0, eps"
    assert nearest("zzz", {"b", "a"}) == "; allowed: a, b"


def test_a_cut_list_does_not_pass_for_the_whole_one(nearest):
    assert nearest("zzz", MANY).endswith("setting_19, ...")


def test_where_nothing_is_known_nothing_is_said(nearest):
    assert nearest("zzz", ()) == ""


def test_a_name_of_a_megabyte_takes_no_time(nearest):
    assert nearest("x" * 1_000_000, MANY).startswith("; allowed: ")
