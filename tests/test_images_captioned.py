"""Captioned pictures as training data: one order by seed, and bad files named before the work."""

import io
import json
import tarfile

import numpy as np
import pytest
from image_files import encoded, picture, png_of_header, write

from dalle2eval.images.captioned import CaptionedSource, expand, open_pairs, square
from dalle2eval.records import InputError


def folder(place, n=12):
    for k in range(n):
        write(place / f"{k:02d}.png", picture(k, 10 + k, 16))
        (place / f"{k:02d}.txt").write_text(f"picture number {k}\n")
    return place


def tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def source(place, **options):
    return CaptionedSource(pairs=open_pairs(str(place)).train, **options)


def test_sample_k_depends_on_seed_and_k_alone(tmp_path):
    first, again = source(folder(tmp_path), seed=1), source(tmp_path, seed=1)
    whole = first.batch(0, 30, 8)
    part = again.batch(13, 9, 8, rows=range(2, 5))
    assert part.captions == whole.captions[13:22]
    assert (part.images == whole.images[15:18]).all()
    assert source(tmp_path, seed=2).batch(0, 30, 8).captions != whole.captions
    assert source(tmp_path, seed=1, stream=2).batch(0, 30, 8).captions != whole.captions


def test_every_epoch_shows_every_picture_once_and_none_that_is_held_out(tmp_path):
    place = open_pairs(str(folder(tmp_path)))
    n = len(place.train)
    captions = CaptionedSource(pairs=place.train).batch(0, 2 * n, 8).captions
    assert sorted(captions[:n]) == sorted(captions[n:]) == sorted(p.caption for p in place.train)
    assert captions[:n] != captions[n:]
    assert len(place.held_out) == 1
    assert place.held_out[0].caption not in captions


def test_shards_hold_the_same_pictures_as_a_folder(tmp_path):
    files = folder(tmp_path / "files")
    names = sorted(path.name for path in files.iterdir())
    for shard in range(3):
        own = {n: (files / n).read_bytes() for n in names[shard * 8 : shard * 8 + 8]}
        tar(tmp_path / f"s-{shard:03d}.tar", own)
    loose, packed = open_pairs(str(files)), open_pairs(str(tmp_path / "s-{000..002}.tar"))
    assert [p[1:] for p in packed.train] == [p[1:] for p in loose.train]
    pictures = [CaptionedSource(pairs=p.train).batch(0, 5, 8).images for p in (loose, packed)]
    assert (pictures[0] == pictures[1]).all()


def test_a_range_counts_with_leading_zeros():
    assert [str(p) for p in expand("a/{8..10}-{0..1}.tar")][:3] == [
        "a/8-0.tar", "a/8-1.tar", "a/9-0.tar",
    ]  # fmt: skip
    with pytest.raises(InputError, match="smaller to a larger"):
        expand("{3..1}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.jsonl", json.dumps({"file": "00.png", "caption": "a cat"})),
        ("metadata.csv", "file_name,text\n00.png,a cat\n"),
    ],
)
def test_a_manifest_chooses_the_pictures_and_their_captions(tmp_path, name, text):
    folder(tmp_path)
    (tmp_path / name).write_text(text)
    assert [pair.caption for pair in open_pairs(str(tmp_path)).train] == ["a cat"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("captions.jsonl", '{"file": "0.png", "caption": "a"}', r':1: no image "0.png"; did you'),
        ("captions.jsonl", '{"file": "00.png"}', ":1: no caption"),
        ("captions.jsonl", "[1]", "expected an object"),
        ("captions.jsonl", "{", "not JSON"),
        ("captions.csv", "file,caption\n00.png,a\n00.png,b\n", ":3: a second row"),
    ],
)
def test_a_damaged_manifest_is_named_with_its_line(tmp_path, name, text, said):
    folder(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        open_pairs(str(tmp_path))


def test_a_picture_without_a_caption_is_refused(tmp_path):
    folder(tmp_path)
    (tmp_path / "03.txt").unlink()
    with pytest.raises(InputError, match=r'1 of 12 images have no caption, first "03.png"'):
        open_pairs(str(tmp_path))


def test_hostile_pictures_are_all_named_before_the_training(tmp_path):
    folder(tmp_path)
    (tmp_path / "02.png").write_bytes(png_of_header(50_000, 50_000))
    (tmp_path / "05.png").write_bytes(encoded(picture())[:-20])
    with pytest.raises(InputError, match="2 of 12 training images cannot be read") as caught:
        open_pairs(str(tmp_path))
    assert [line.split(": ")[1] for line in caught.value.details] == ["02.png", "05.png"]
    assert "too large" in caught.value.details[0]


def test_the_middle_square_is_kept():
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 200
    assert (square(wide, 8) == 200).all()
