"""A prompt belongs to the right image or to none: manifests, ids, lines, and their mistakes."""

from __future__ import annotations

import json

import pytest

from dalle2eval.images import items_for, items_without_prompts
from dalle2eval.records import InputError


def _write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    else:
        path.write_text(rows, encoding="utf-8")
    return path


def _pairs(items):
    return {item.name: (item.key.prompt_id, item.key.seed, item.prompt) for item in items}


def test_a_manifest_names_its_files_in_any_order(tmp_path):
    rows = [{"id": "q", "file": "b/2.png", "prompt": "two"}, {"file": "1.png", "prompt": "one"}]
    items = items_for(["1.png", "b/2.png"], _write(tmp_path / "p.jsonl", rows))
    assert _pairs(items) == {"b/2.png": ("q", 0, "two"), "1.png": ("1.png", 0, "one")}


def test_a_csv_says_the_same_with_commas_in_its_prompts(tmp_path):
    text = '\ufeffid,file,prompt,model\r\nq,1.png,"a cat, red",x\r\n'
    items = items_for(["1.png"], _write(tmp_path / "p.csv", text))
    assert _pairs(items) == {"1.png": ("q", 0, "a cat, red")}


def test_lines_follow_the_numbers_of_the_files_and_not_their_spelling(tmp_path):
    names = [f"{n}.png" for n in range(1, 13)]
    lines = "".join(f"prompt {n}\r\n" for n in range(1, 13))
    found = _pairs(items_for(sorted(names), _write(tmp_path / "p.txt", lines)))
    assert found["10.png"] == ("10", 0, "prompt 10")
    assert found["2.png"] == ("02", 0, "prompt 2")


def test_images_of_one_prompt_share_its_id_and_differ_in_their_seed(tmp_path):
    rows = [{"id": "p", "prompt": "a dog"}, {"id": "p-x", "prompt": "a cat"}]
    names = ["d/p_10.png", "d/p_2.png", "p-x.png"]
    found = _pairs(items_for(names, _write(tmp_path / "p.jsonl", rows)))
    assert found["d/p_2.png"] == ("p", 0, "a dog")
    assert found["d/p_10.png"] == ("p", 1, "a dog")
    assert found["p-x.png"] == ("p-x", 0, "a cat")


def test_without_prompts_every_image_stands_for_itself():
    assert _pairs(items_without_prompts(["a.png"])) == {"a.png": ("a.png", 0, None)}


ONE = {"file": "1.png", "prompt": "one"}
REFUSED = {
    "typo in a name": ([{"file": "1.pgn", "prompt": "x"}], 'did you mean "1.png"'),
    "no prompt": ([{"file": "1.png", "promt": "x"}], ':1: no prompt; "promt" is not read'),
    "image left over": ([ONE], 'images have no prompt, first "2.png"'),
    "one image twice": ([ONE, ONE], 'two rows are about "1.png"'),
    "file in some rows": ([ONE, {"id": "2", "prompt": "x"}], ":2: no file"),
    "two prompts": (
        [{"id": "a", **ONE}, {"id": "a", "file": "2.png", "prompt": "two"}],
        ':2: id "a" has two different prompts',
    ),
    "id without image": ([{"id": "7", "prompt": "x"}], 'no image is named "7"'),
    "nothing to match by": ([{"prompt": "x"}], "needs a file, or an id"),
    "a list": ([[1, 2]], "expected an object"),
    "a list as prompt": ([{"file": "1.png", "prompt": ["x"]}], "prompt is .* expected text"),
    "half a character": ([{"file": "1.png", "prompt": "\ud800"}], "surrogate"),
    "endless": ([{"file": "1.png", "prompt": "x" * 10_001}], "at most 10000"),
    "escape": ([{"file": "../1.png", "prompt": "x"}], "no image"),
    "empty": ([], "holds no prompt"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_manifest_is_refused_with_its_line(tmp_path, case):
    rows, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        items_for(["1.png", "2.png"], _write(tmp_path / "p.jsonl", rows))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "one\ntwo\nthree\n", "3 lines for 2 images"),
        ("p.txt", "one\n\n", ":2: no prompt"),
        ("p.csv", "id,file,prompt\n1,1.png,a,b,c\n", "more cells than columns"),
        ("p.csv", 'id,file,prompt\n1,1.png,"a\n', "not CSV"),
        ("p.csv", "1,1.png,a\n2,2.png,b\n", "no prompt"),
        ("p.jsonl", "{nonsense\n", ":1: not JSON"),
        ("p.jsonl", "[" * 100_000, ":1: not JSON"),
        ("p.yaml", "x", "prompts come as .jsonl, .csv, .txt"),
    ],
)
def test_a_damaged_file_of_prompts_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        items_for(["1.png", "2.png"], tmp_path / name)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(InputError, match="not UTF-8"):
        items_for(["1.png"], tmp_path / "p.txt")
    with pytest.raises(InputError, match="cannot be read"):
        items_for(["1.png"], tmp_path / "missing.txt")
