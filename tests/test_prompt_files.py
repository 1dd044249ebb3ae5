"""Prompt files of others are read as published; what is wrong in one is told at its line."""

import json

import pytest
from fake_model import FakeModel
from run_fixtures import SUITE, TABLES

from ablations.loading import load_suite
from ablations.resolving import Choice, resolve
from dalle2eval.prompts import FORMATS, file_name, load_prompts, read_prompt_file
from dalle2eval.records import InputError

PARTI = (
    "Prompt\tCategory\tChallenge\tNote\n"
    "bond\tAbstract\tBasic\tBiology-inspired concepts\n"
    '"hello" on a sign\tWorld Knowledge\tWriting & Symbols\t\n'
)
DRAWBENCH = (
    "Prompts,Category\n"
    "A red colored car.,Colors\n"
    "\"A storefront with 'Hello World' written on it, at night.\",Text\n"
)
COCO = {
    "annotations": [
        {"image_id": 9, "id": 2, "caption": "A cat.\n"},
        {"image_id": 3, "id": 7, "caption": " A dog  runs. "},
        {"image_id": 9, "id": 1, "caption": "A black cat."},
    ]
}
GENEVAL = [
    {"tag": "counting", "include": [{"class": "clock", "count": 2}],
     "exclude": [{"class": "clock", "count": 3}], "prompt": "a photo of two clocks"},
    {"tag": "color_attr", "include": [{"class": "bench", "count": 1, "color": "green"},
     {"class": "bowl", "count": 1, "color": "blue"}], "prompt": "a green bench and a blue bowl"},
    {"tag": "position", "include": [{"class": "dog", "count": 1},
     {"class": "cat", "count": 1, "position": ["left of", 0]}], "prompt": "a cat left of a dog"},
]  # fmt: skip


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_partiprompts_keep_their_categories_and_challenges_as_slices(tmp_path):
    first, second = read_prompt_file(write(tmp_path / "p.tsv", PARTI))
    assert (first.id, first.text, first.tags) == ("parti-00001", "bond", ("abstract", "basic"))
    assert second.text == '"hello" on a sign'
    assert second.tags == ("world-knowledge", "writing-symbols", "word")
    assert second.facts == {"word": "hello"}


def test_drawbench_comes_as_csv_and_as_json(tmp_path):
    table = read_prompt_file(write(tmp_path / "d.csv", DRAWBENCH))
    assert [p.tags for p in table] == [("colors",), ("text", "word", "sentence")]
    assert table[1].facts == {"word": "Hello World"}
    by_category = {"Colors": ["A red colored car."], "Text": ["a sign"]}
    objects = [{"prompt": "A red colored car.", "category": "Colors"}, {"prompt": "a sign"}]
    for data in (by_category, objects, ["A red colored car.", "a sign"]):
        texts = [p.text for p in read_prompt_file(write(tmp_path / "d.json", data))]
        assert texts == ["A red colored car.", "a sign"]


def test_coco_gives_a_prompt_a_caption_in_an_order_that_the_file_does_not_decide(tmp_path):
    prompts = read_prompt_file(write(tmp_path / "captions_val2014.json", COCO))
    assert [(p.id, p.text) for p in prompts] == [
        ("coco-3-00007", "A dog runs."),
        ("coco-9-00001", "A black cat."),
        ("coco-9-00002", "A cat."),
    ]  # fmt: skip


def test_plain_text_is_named_by_its_lines(tmp_path):
    prompts = read_prompt_file(write(tmp_path / "p.txt", "\ufeffone\n\n two \r\n"))
    assert [(p.id, p.text) for p in prompts] == [("line-00001", "one"), ("line-00003", "two")]


def test_geneval_becomes_tasks_by_our_names(tmp_path):
    path = write(tmp_path / "evaluation_metadata.jsonl", lines(GENEVAL))
    prompts = read_prompt_file(path)
    assert [p.facts["geneval"]["task"] for p in prompts] == [
        "counting", "colour_attribution", "position",
    ]  # fmt: skip
    assert prompts[0].facts["geneval"]["exclude"] == [{"class": "clock", "count": 3}]
    assert prompts[1].tags == ("colour-attribution",)


@pytest.mark.parametrize(
    ("name", "text", "task"),
    [
        ("color_val", "a green bench and a blue bowl", "binding"),
        ("texture_val", "A metallic desk lamp and a fluffy rug.", "binding"),
        ("spatial_val", "a dog on the left of a cat", "position"),
        ("spatial_val", "a dog next to a cat", None),
        ("complex_val", "the red book and the yellow vase", None),
    ],
)
def test_compbench_grades_only_what_a_detector_can_be_asked(tmp_path, name, text, task):
    [prompt] = read_prompt_file(write(tmp_path / f"{name}.txt", text + "\n"))
    assert prompt.text == text
    assert (prompt.facts and prompt.facts["geneval"]["task"]) == task


def test_compbench_reads_left_of_as_the_first_things_place(tmp_path):
    [prompt] = read_prompt_file(write(tmp_path / "spatial_val.txt", "a dog on the left of a cat"))
    include = prompt.facts["geneval"]["include"]
    assert include[1] == {"class": "dog", "count": 1, "position": ["left of", 0]}
    assert include[0]["class"] == "cat"


BAD = [
    ("p.tsv", "Text\tCategory\nx\ty\n", "p.tsv:1: no column Prompt"),
    ("p.tsv", "Prompt\tCategory\na\tb\nc\td\te\n", "p.tsv:3: more cells than columns"),
    ("d.csv", "Prompts,Category\nok,a\n,b\n", "d.csv:3: the prompt is empty"),
    ("d.csv", 'Prompts,Category\n"open,a\n', "d.csv:2: not a table"),
    ("c.json", '{"annotations": [}', "c.json:1:18: not JSON"),
    ("c.json", '{\n"annotations": 3\n}', "expected an object with a list of annotations"),
    ("c.json", {"annotations": [{"image_id": 1, "id": 1}]}, "annotations[0]: caption is 'None'"),
    ("c.json", {"annotations": [{"image_id": True, "id": 1}]}, "image_id is 'True'"),
    ("c.json", "[" * 100_000, "c.json:1: JSON that is nested"),
    ("d.json", {"Colors": "red"}, "'Colors' holds no list of prompts"),
    ("g.jsonl", lines(GENEVAL[:1]) + "{oops\n", "g.jsonl:2:2: not JSON"),
    ("g.jsonl", lines([{**GENEVAL[0], "tag": "countin"}]), 'g.jsonl:1: no task "countin"'),
    ("g.jsonl", lines([{**GENEVAL[0], "include": []}]), "g.jsonl:1: include asks for nothing"),
    ("g.jsonl", lines([{**GENEVAL[0], "include": [{"class": "a", "count": -1}]}]), "count is '-1'"),
    (
        "g.jsonl",
        lines([{**GENEVAL[2], "include": GENEVAL[2]["include"][::-1]}]),
        "g.jsonl:1: position is",
    ),
    ("p.txt", "fine\nbad\x00\n", "p.txt:2: the prompt holds the control character"),
    ("p.txt", "x" * 10_001, "p.txt:1: the prompt has 10001 characters"),
    ("p.txt", b"caf\xe9\n", "not UTF-8 text (byte 3)"),
    ("p.txt", "\n\n", "holds no prompt"),
    ("p.yaml", "a\n", "unknown kind of file; allowed: .tsv"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_a_bad_file_is_told_at_its_place(tmp_path, name, content, message):
    with pytest.raises(InputError) as told:
        read_prompt_file(write(tmp_path / name, content))
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_a_missing_file_a_folder_and_a_wrong_format_are_told(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            read_prompt_file(path)
    with pytest.raises(InputError, match="partiprompts"):
        read_prompt_file(write(tmp_path / "p.txt", "a"), "partiprompt")


def test_a_named_format_overrules_the_files_name(tmp_path):
    path = write(tmp_path / "odd.dat", "one\ntwo\n")
    name = file_name(str(path), "text")
    assert [p.text for p in load_prompts(name, 1)] == ["one"]
    with pytest.raises(InputError, match="has 2 prompts; 3 were asked for"):
        load_prompts(name, 3)
    assert "text" in FORMATS


def test_a_hostile_category_is_a_harmless_slice(tmp_path):
    text = "Prompt\tCategory\na\t<script>alert(1)</script>\nb\tall\n"
    first, second = read_prompt_file(write(tmp_path / "p.tsv", text))
    assert first.tags == ("script-alert-1-script",)
    assert second.tags == ()


def test_signs_ask_for_words_and_sentences_in_three_cases():
    prompts = load_prompts("text/signs")
    assert len({p.id for p in prompts}) == len({p.text for p in prompts}) == len(prompts)
    assert {"upper-case", "lower-case", "title-case", "sentence"} <= {
        t for p in prompts for t in p.tags
    }
    assert all(p.facts["word"] in p.text for p in prompts)


def suite_of(tmp_path, prompts):
    text = SUITE.replace("prompts: {set: fake/ten, n: 10}", f"prompts: {prompts}")
    text = text.replace("[fd_scenes, clip_score]", "[clip_score]").replace(", word: 256", "")
    return make_plan_of(tmp_path / "s.yaml", text)


def make_plan_of(path, text):
    path.write_text(text.replace("showcase: {set: fake/shown, n: 1, size: 1024}\n", ""))
    return resolve(
        load_suite(str(path), ()),
        FakeModel(),
        load_prompts=load_prompts,
        tables=TABLES,
        choice=Choice(),
        judged_by={"judge": "scenes", "weights": "1" * 64},
    )


def test_a_suite_asks_for_the_prompts_of_a_file_and_freezes_them(tmp_path):
    path = write(tmp_path / "p.tsv", PARTI)
    plan = suite_of(tmp_path, f"{{file: {path}, n: 1}}")
    assert [p.text for p in plan.prompts] == ["bond"]
    before = plan.fingerprint
    write(path, PARTI.replace("bond", "bonds"))
    assert suite_of(tmp_path, f"{{file: {path}, n: 1}}").fingerprint != before


def test_a_suite_names_a_set_or_a_file_and_is_told_at_its_place(tmp_path):
    path = write(tmp_path / "p.txt", "one\n")
    for prompts, message in (
        (f"{{file: {path}, set: fake/ten}}", "give either a set or a file of prompts"),
        ("{n: 3}", "give either a set or a file of prompts"),
        ("{set: fake/ten, format: text}", "format is of a file"),
        (f"{{file: {path}, format: csv}}", 'no format "csv"'),
        (f"{{file: {path}, n: 2}}", "has 1 prompts; 2 were asked for"),
        (f"{{file: {path}x}}", "cannot be read"),
    ):
        with pytest.raises(InputError, match=r"s\.yaml:3") as told:
            suite_of(tmp_path, prompts)
        assert message in str(told.value)
