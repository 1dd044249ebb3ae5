"""Folders, zips and tars are read alike, by sorted names, and a hostile archive reaches nothing."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile

import pytest
from image_files import encoded, picture, write

from dalle2eval.images import BadImage, check_files, decode, open_collection
from dalle2eval.images.checking import BadFilesError, refuse_bad
from dalle2eval.records import InputError

NAMES = ("a/2.jpg", "a/b/3.webp", "b.PNG")


def _contents():
    return {
        name: encoded(picture(seed), kind)
        for seed, (name, kind) in enumerate(zip(NAMES, ("jpeg", "webp", "png"), strict=True))
    }


def _folder(place):
    for name, content in _contents().items():
        path = place / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place / "images"


def _zip(place, contents=None):
    with zipfile.ZipFile(place / "images.zip", "w") as archive:
        for name, content in (contents or _contents()).items():
            archive.writestr(name, content)
    return place / "images.zip"


def _tar(place, contents=None, name="images.tar"):
    with tarfile.open(place / name, "w") as archive:
        for member, content in (contents or _contents()).items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return place / name


@pytest.mark.parametrize("make", [_folder, _zip, _tar])
def test_a_folder_a_zip_and_a_tar_hold_the_same_images(tmp_path, make):
    collection = open_collection(make(tmp_path))
    assert collection.names == NAMES
    for name, content in _contents().items():
        assert collection.read(name) == content


def test_a_folder_of_webdataset_tars_is_one_collection(tmp_path):
    for shard in range(2):
        _tar(tmp_path, {"0.png": encoded(picture(shard)), "0.txt": b"a prompt"}, f"{shard}.tar")
    collection = open_collection(tmp_path)
    assert collection.names == ("0.tar/0.png", "1.tar/0.png")
    assert collection.num_others == 2


def test_sidecars_and_hidden_files_are_counted_and_not_read(tmp_path):
    folder = _folder(tmp_path)
    for name in ("notes.txt", ".DS_Store", "._b.png", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    assert open_collection(folder).names == NAMES
    assert open_collection(folder).num_others == 4


def test_a_picture_of_another_kind_is_named_and_not_skipped_in_silence(tmp_path):
    folder = _folder(tmp_path)
    (folder / "c.gif").write_bytes(encoded(picture()[..., 0], "gif"))
    found = check_files(open_collection(folder), open_collection(folder).names)
    assert [(bad.name, "GIF is not read" in bad.reason) for bad in found.bad] == [("c.gif", True)]


def test_a_name_that_leads_outside_its_archive_is_refused(tmp_path):
    contents = {"../evil.png": encoded(picture()), "/abs.png": encoded(picture())}
    contents["good.png"] = encoded(picture())
    for place in (_zip(tmp_path, contents), _tar(tmp_path, contents)):
        collection = open_collection(place)
        found = check_files(collection, collection.names)
        assert {bad.name for bad in found.bad} == {"../evil.png", "/abs.png"}
        assert all("outside" in bad.reason for bad in found.bad)
    assert not (tmp_path.parent / "evil.png").exists()


def test_a_zip_bomb_is_refused_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("dalle2eval.images.archives.MAX_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.png", encoded(picture()))
        with archive.open("bomb.png", "w", force_zip64=True) as member:
            member.write(bytes(2**20 + 1))
    collection = open_collection(tmp_path / "bomb.zip")
    with pytest.raises(BadImage, match="too large"):
        collection.read("bomb.png")


def test_links_in_a_tar_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BadImage, match="link"):
        open_collection(tmp_path / "images.tar").read("link.png")


def test_a_cut_tar_is_refused(tmp_path):
    place = _tar(tmp_path, {"a.png": encoded(picture()), "b.png": encoded(picture())})
    with place.open("r+b") as file:
        file.truncate(1_600)
    with pytest.raises(InputError, match="damaged tar"):
        open_collection(place)


def test_a_tar_cut_between_two_members_is_not_taken_for_a_small_one(tmp_path):
    place = _tar(tmp_path, {"a.png": encoded(picture()), "b.png": encoded(picture())})
    with place.open("r+b") as file:
        file.truncate(1_024)
    with pytest.raises(InputError, match="cut"):
        open_collection(place)


def test_a_pipe_with_the_name_of_an_image_does_not_hang(tmp_path):
    write(tmp_path / "a.png", picture())
    os.mkfifo(tmp_path / "b.png")
    collection = open_collection(tmp_path)
    found = check_files(collection, collection.names)
    assert found.bad[0].reason == "not a regular file"


def test_a_line_break_in_a_name_cannot_forge_a_line_of_output(tmp_path):
    write(tmp_path / "a\nerror: all is well\x1b[2J.png", picture())
    (name,) = open_collection(tmp_path).names
    assert "\n" not in name
    assert "\x1b" not in name
    assert decode(open_collection(tmp_path).read(name)).shape == (12, 20, 3)


def test_every_bad_file_is_named_with_its_reason(tmp_path):
    write(tmp_path / "good.png", picture())
    for name in ("x.png", "y.jpg"):
        (tmp_path / name).write_bytes(b"")
    collection = open_collection(tmp_path)
    with pytest.raises(BadFilesError, match=r"2 of 3 files cannot be scored.*--skip-bad") as caught:
        refuse_bad(collection, check_files(collection, collection.names).bad, 3)
    assert [line.rpartition(": ")[0] for line in caught.value.details] == [
        f"{tmp_path}: x.png",
        f"{tmp_path}: y.jpg",
    ]


def test_equal_names_of_other_content_are_another_collection(tmp_path):
    write(tmp_path / "a.png", picture(1))
    collection = open_collection(tmp_path)
    first = check_files(collection, collection.names).content
    write(tmp_path / "a.png", picture(2))
    assert check_files(collection, collection.names).content != first


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "no such folder, zip or tar"),
        ("a.rar", b"Rar!", "expected a folder, a .zip or a .tar"),
        ("a.zip", b"PK\x03\x04 cut", "expected a folder|damaged zip"),
        ("a.tar", b"nothing like a tar" * 100, "damaged tar"),
        ("a.tar.gz", b"\x1f\x8b", "unpack it"),
    ],
)
def test_what_is_no_collection_is_refused_in_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_collection(tmp_path / name)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no PNG"):
        open_collection(tmp_path)


@pytest.mark.parametrize("inner", ["last.zip", "last.npz"])
@pytest.mark.parametrize("name", ["images.tar", "images.bin"])
def test_a_tar_that_ends_with_a_zip_is_read_as_the_tar(tmp_path, inner, name):
    """A zip is known by its end: other images were scored silently."""
    other = _zip(tmp_path, {"other.png": encoded(picture(9), "png")}).read_bytes()
    collection = open_collection(_tar(tmp_path, {**_contents(), inner: other}, name))
    assert collection.names == NAMES
    assert collection.num_others == 1


def test_a_zip_is_known_by_its_content_whatever_its_name(tmp_path):
    wrong = _zip(tmp_path).rename(tmp_path / "images.tar")
    assert open_collection(wrong).names == NAMES
    behind = tmp_path / "program.zip"
    behind.write_bytes(b"#!/bin/sh\n" * 80 + wrong.read_bytes())
    assert open_collection(behind).names == NAMES
    (tmp_path / "no.tar").write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match="damaged tar"):
        open_collection(tmp_path / "no.tar")
