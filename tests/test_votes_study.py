"""Studies: blind, balanced and the same again; answers in files; who the tally leaves out."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from PIL import Image
from vote_fixtures import PROMPTS, a_study, an_arm

from dalle2eval.records import InputError, NotComparable
from dalle2eval.votes.answers import import_answers
from dalle2eval.votes.page import ANSWERS_FORMAT, static_voter, write_static_page
from dalle2eval.votes.pairs import choose_pairs, common_size
from dalle2eval.votes.questions import QUESTIONS
from dalle2eval.votes.sequence import sequence
from dalle2eval.votes.store import NameTaken, Vote, VoteStore
from dalle2eval.votes.study import Design, make_study, read_study
from dalle2eval.votes.tally import tally


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return a_study(tmp_path_factory.mktemp("study"))


def the_true(study):
    return [pair for pair in study.pairs if pair.answer is None]


def test_every_prompt_is_shown_once_before_any_twice(study):
    order = [pair.prompt_id for pair in the_true(study)]
    assert len(order) == 2 * len(PROMPTS)
    assert set(order[: len(PROMPTS)]) == set(PROMPTS)
    assert {pair.prompt for pair in the_true(study)} == set(PROMPTS.values())


def test_both_sides_of_a_pair_have_one_prompt_and_one_seed(study):
    greys = {"secret-a": 60, "secret-b": 110}
    for pair in the_true(study):
        for arm, slot in zip(pair.arms, ("first", "second"), strict=True):
            colour = Image.open(study.picture(pair.id, slot)).convert("RGB").getpixel((0, 0))
            prompt = list(PROMPTS).index(pair.prompt_id)
            assert colour == (greys[arm], 20 * prompt, 90 * pair.seeds[0])


def test_same_command_gives_the_same_study_and_another_seed_another(tmp_path):
    first, second = a_study(tmp_path / "a"), a_study(tmp_path / "b")
    assert first.id == second.id
    assert a_study(tmp_path / "a").id == first.id
    with pytest.raises(InputError, match=r"another study.*seed"):
        a_study(tmp_path / "a", seed=1)
    assert read_study(first.folder).pairs == first.pairs


def test_each_arm_lies_on_the_left_in_half_of_a_voters_pairs(study):
    for voter in ("anna", "ben", "chloe"):
        seen = sequence(study, voter)
        lefts = Counter(
            s.pair.arms[0 if s.left == "first" else 1] for s in seen if s.pair.answer is None
        )
        assert lefts["secret-a"] == lefts["secret-b"] == len(PROMPTS)
    assert sequence(study, "anna") != sequence(study, "ben")
    assert sequence(study, "anna") == sequence(study, "anna")


def test_checks_are_spread_over_the_sequence_and_come_for_every_voter(tmp_path):
    study = a_study(tmp_path, per_voter=6, checks=3)
    for voter in map(str, range(20)):
        seen = sequence(study, voter)
        places = [i for i, s in enumerate(seen) if s.pair.answer is not None]
        assert len(seen) == 9
        assert [place // 3 for place in places] == [0, 1, 2]


def test_slot_of_an_arm_is_dealt_and_not_its_order(tmp_path):
    study = a_study(tmp_path, pairs=12)
    assert len({pair.arms for pair in the_true(study)}) == 2


@pytest.mark.parametrize("question", list(QUESTIONS))
def test_a_check_can_be_told_right_from_wrong_by_its_pixels(tmp_path, question):
    study = a_study(tmp_path, question=question, checks=4)
    for pair in study.pairs:
        if pair.answer is None:
            continue
        wrong = "second" if pair.answer == "first" else "first"
        good, bad = (
            Image.open(study.picture(pair.id, s)).convert("RGB") for s in (pair.answer, wrong)
        )
        if question == "diversity":
            assert len(good.getcolors(4096)) > len(bad.getcolors(4096))
        elif question == "caption":
            assert ("black" in pair.prompt) == (good.getpixel((1, 1)) == (0, 0, 0))
            assert good.getpixel((1, 1)) != bad.getpixel((1, 1))


def test_grids_hold_every_seed_that_both_arms_have(tmp_path):
    study = a_study(tmp_path, question="diversity")
    assert {pair.seeds for pair in the_true(study)} == {(0, 1)}
    side = Image.open(study.picture(the_true(study)[0].id, "first"))
    assert side.size == (34, 16)
    arms = [an_arm(tmp_path, name, 9, seeds=1) for name in ("x", "y")]
    with pytest.raises(InputError, match="two pictures a prompt"):
        make_study(arms, Design(question="diversity"), tmp_path / "none")


def test_other_texts_under_one_prompt_id_are_refused(tmp_path):
    one, other = an_arm(tmp_path, "x", 1), an_arm(tmp_path, "y", 2)
    changed = type(other)(
        **{name: getattr(other, name) for name in ("label", "run", "fingerprint", "arm", "files")},
        prompts={**PROMPTS, "p3": "something else"},
    )
    with pytest.raises(NotComparable, match="p3"):
        choose_pairs([one, changed], QUESTIONS["caption"], num=5, size=16, seed=0)
    with pytest.raises(InputError, match="allowed: 16"):
        common_size([one, other], 64)


def test_three_arms_meet_each_other_equally_often(tmp_path):
    study = a_study(tmp_path, names=("a", "b", "c"), pairs=18)
    met = Counter(frozenset(pair.arms) for pair in the_true(study))
    assert set(met.values()) == {6}


def test_page_tells_neither_arms_nor_answers_nor_places_and_runs_no_prompt(tmp_path):
    study = a_study(tmp_path)
    page = write_static_page(study).read_text("utf-8")
    assert "secret-" not in page
    assert "<script>alert" not in page
    assert str(tmp_path) not in page
    assert 'answer":' not in page.split("<script>")[0].replace("answered", "")
    assert "http:" not in page.replace("http://www.w3.org", "")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert all(set(pair) == {"pair", "prompt", "pictures"} for pair in data["pairs"])


def test_edited_or_newer_study_is_refused(tmp_path):
    study = a_study(tmp_path)
    path = study.folder / "study.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "seed": 5}))
    with pytest.raises(InputError, match="edited"):
        read_study(study.folder)
    path.write_text(json.dumps({**told, "schema_version": 9}))
    with pytest.raises(InputError, match="schema_version 9"):
        read_study(study.folder)
    for damaged in ("{", "[" * 100_000):
        path.write_text(damaged)
        with pytest.raises(InputError, match="damaged"):
            read_study(study.folder)


def the_answers(study, choose, *, voter="dora", key="k" * 36, number=4, take=None):
    """Return what the static page saves when a voter chooses by ``choose(showing)``."""
    votes = [
        {"pair": s.pair.id, "choice": choose(s), "seconds": 1.5}
        for s in sequence(study, static_voter(number))[:take]
    ]
    return {
        "format": ANSWERS_FORMAT, "schema_version": 1, "study": study.id, "voter": voter,
        "key": key, "sequence": number, "votes": votes,
    }  # fmt: skip


def prefers(arm):
    """Choose the side on which an arm lies, and the right side of a check."""

    def choose(showing):
        slots = dict(zip(showing.pair.arms, ("first", "second"), strict=False))
        return "left" if showing.left == (showing.pair.answer or slots[arm]) else "right"

    return choose


def bring(study, tmp_path, content, **options):
    path = tmp_path / "answers.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return import_answers(study, path, **options)[0]


def test_file_imported_twice_counts_once_and_a_longer_one_adds_the_rest(tmp_path):
    study = a_study(tmp_path)
    first = bring(study, tmp_path, the_answers(study, prefers("secret-a"), take=5))
    assert (first.new, first.known) == (5, 0)
    again = bring(study, tmp_path, the_answers(study, prefers("secret-b")))
    assert (again.new, again.known) == (len(study.pairs) - 5, 5)
    votes = VoteStore(study.database, study.id).votes()
    assert len(votes) == len({(vote.voter, vote.pair) for vote in votes}) == len(study.pairs)


def test_import_translates_sides_to_the_arm_that_lay_there(tmp_path):
    study = a_study(tmp_path)
    bring(study, tmp_path, the_answers(study, prefers("secret-b")))
    (rate,) = tally(study)["win_rates"]
    assert (rate["arm"], rate["wins"], rate["losses"]) == ("secret-a", 0, 12)
    assert rate["estimate"]["value"] == 0.0


def test_two_people_of_one_name_are_not_mixed(tmp_path):
    study = a_study(tmp_path)
    bring(study, tmp_path, the_answers(study, prefers("secret-a")))
    other = the_answers(study, prefers("secret-b"), key="z" * 36)
    with pytest.raises(InputError, match=r"taken.*--as"):
        bring(study, tmp_path, other)
    assert bring(study, tmp_path, other, name="dora 2").new == len(study.pairs)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda good: "[]", "not a file of answers"),
        (lambda good: "{", "not JSON"),
        (lambda good: {**good, "study": "0" * 64}, "answers study"),
        (lambda good: {**good, "schema_version": 2}, "schema_version 2"),
        (lambda good: {**good, "sequence": 99}, "sequence 99"),
        (lambda good: {**good, "voter": "\x00"}, "printable"),
        (lambda good: {**good, "votes": good["votes"] + good["votes"][:1]}, "twice"),
        (lambda good: {**good, "votes": [{"pair": "../../etc", "choice": "left"}]}, "not on the"),
        (lambda good: {**good, "votes": [{**good["votes"][0], "choice": "first"}]}, "allowed"),
        (lambda good: {**good, "votes": 3}, "damaged"),
        (lambda good: {k: v for k, v in good.items() if k != "key"}, "lacks key"),
        (lambda good: {**good, "key": ""}, "a key has 16 to 128 characters"),
        (lambda good: {**good, "key": None}, "key 'None' is not a text"),
        (lambda good: {**good, "voter": None}, "voter 'None' is not a text"),
    ],
)
def test_strange_answers_are_refused_in_one_line(study, tmp_path, spoil, why):
    with pytest.raises(InputError, match=why) as refused:
        bring(study, tmp_path, spoil(the_answers(study, prefers("secret-a"))))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seconds", [10**400, float("inf"), -1, "1"])
def test_a_time_that_is_none_is_left_out_and_the_vote_counts(tmp_path, seconds):
    """400 digits ended the import in a Python error."""
    study = a_study(tmp_path)
    answers = the_answers(study, prefers("secret-a"), take=1)
    answers["votes"][0]["seconds"] = seconds
    assert bring(study, tmp_path, answers).new == 1
    assert VoteStore(study.database, study.id).votes()[0].seconds is None


def test_a_bad_file_keeps_the_good_one_beside_it_out(tmp_path):
    """The first was kept and not told, and a reader of the error took nothing for kept."""
    study = a_study(tmp_path)
    good, taken, bad = (tmp_path / f"{name}.json" for name in ("good", "taken", "bad"))
    good.write_text(json.dumps(the_answers(study, prefers("secret-a"))))
    taken.write_text(json.dumps(the_answers(study, prefers("secret-a"), key="z" * 36)))
    bad.write_text("{")
    for other in (bad, taken):
        with pytest.raises(InputError, match=other.name):
            import_answers(study, good, other)
        assert VoteStore(study.database, study.id).votes() == ()
    assert import_answers(study, good)[0].known == 0


def test_a_key_of_another_name_is_not_called_a_name_that_is_taken(tmp_path):
    store = VoteStore(tmp_path / "votes.sqlite", "s")
    store.join("Anna", "key-1", source="server")
    with pytest.raises(InputError, match="this voter is 'Anna' already, and not 'Carl'") as told:
        store.join("Carl", "key-1", source="server")
    assert not isinstance(told.value, NameTaken)


def test_voter_who_fails_the_checks_is_named_and_left_out(tmp_path):
    study = a_study(tmp_path, checks=4)
    bring(study, tmp_path, the_answers(study, prefers("secret-a")))

    def careless(showing):
        return "tie" if showing.pair.answer else prefers("secret-b")(showing)

    bring(study, tmp_path, the_answers(study, careless, voter="carl", key="c" * 36))
    result = tally(study)
    assert result["left_out"] == [{"voter": "carl", "right": 0, "checks": 4}]
    assert any("carl" in note and "left out" in note for note in result["notes"])
    assert result["win_rates"][0]["wins"] == 12
    assert result["win_rates"][0]["voters"] == 1


def test_tally_without_a_vote_says_so(tmp_path):
    study = a_study(tmp_path)
    with pytest.raises(InputError, match="nobody has voted"):
        tally(study)


def test_first_vote_counts_and_a_name_belongs_to_one_key(tmp_path):
    store = VoteStore(tmp_path / "votes.sqlite", "s")
    assert store.join("  Anna  B ", "key-1", source="server") == "Anna B"
    with pytest.raises(NameTaken):
        store.join("Anna B", "key-2", source="server")
    vote = {"voter": "Anna B", "pair": "p", "left": "first"}
    assert store.record(Vote(**vote, choice="first")) == "first"
    assert store.record(Vote(**vote, choice="tie")) == "first"
    assert len(store.votes()) == 1
    token = store.token()
    store.close()
    assert VoteStore(tmp_path / "votes.sqlite", "s").token() == token
    with pytest.raises(InputError, match="another study"):
        VoteStore(tmp_path / "votes.sqlite", "other")
    (tmp_path / "broken.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="damaged"):
        VoteStore(tmp_path / "broken.sqlite", "s")
