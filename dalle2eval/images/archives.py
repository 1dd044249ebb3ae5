"""Where images lie: a folder (nested or not), a zip, a tar, or a folder of webdataset tars.

Nothing is ever unpacked to disk: a name in an archive is only a name. One file is read at a time,
so memory does not grow with the collection. Names are sorted, so that the order never depends on
the file system, the archive or the hash seed.
"""

from __future__ import annotations

import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from dalle2eval.images.decoding import MAX_BYTES, BadImage
from dalle2eval.records import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Pictures of a kind that is not read: named as bad, for they may have been meant to be scored.
OTHER_PICTURES = (
    ".avif", ".bmp", ".gif", ".heic", ".jp2", ".jxl", ".pgm", ".ppm", ".tga", ".tif", ".tiff",
)  # fmt: skip
PACKED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # a first file, or the end of an empty zip
TAR_BLOCK = 512  # bytes of a header
PACKED = "a compressed tar cannot be read file by file; unpack it to a plain .tar"

Reader = Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Collection:
    """The image files of one place, by name, sorted.

    Attributes:
        place: what the user named.
        readers: the file's content by its name (path within the place, forward slashes); raise
            `BadImage` for a file that cannot be read.
        num_others: files that are no pictures by their suffix; they are not looked at.
        texts: readers of the ``.txt`` files, such as the captions of training pictures.
    """

    place: Path
    readers: dict[str, Reader]
    num_others: int
    texts: dict[str, Reader] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names, sorted."""
        return tuple(self.readers)

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            BadImage: it cannot be read, or is too large.
        """
        return self.readers[name]()


def open_collection(place: str | Path) -> Collection:
    """Return the images of a folder, a zip, a tar, or a folder that holds tars.

    Raises:
        InputError: there is no such place, it is of another kind, damaged, or holds no image.
    """
    place = Path(place)
    if place.is_dir():
        files = _folder(place)
    elif place.name.lower().endswith(PACKED_TARS):
        raise InputError(
            f"{place}: a compressed tar cannot be read file by file; unpack it to .tar"
        )
    elif not place.is_file():
        raise InputError(f"{place}: no such folder, zip or tar")
    else:
        files = _archive(place)
    collection = _collect(place, files)
    if not collection.readers:
        raise InputError(f"{place}: holds no PNG, JPEG or WebP file")
    return collection


def _collect(place: Path, files: Iterable[tuple[str, Reader]]) -> Collection:
    readers: dict[str, Reader] = {}
    texts: dict[str, Reader] = {}
    num_others = 0
    for name, reader in sorted(files, key=lambda file: file[0]):
        suffix, hidden = PurePosixPath(name).suffix.lower(), _hidden(name)
        if hidden or suffix not in (*SUFFIXES, *OTHER_PICTURES):
            num_others += 1
            if suffix == ".txt" and not hidden:
                texts[name] = reader
        elif suffix in OTHER_PICTURES:
            kind = f"{suffix[1:].upper()} is not read; convert it to PNG, JPEG or WebP"
            readers[name] = partial(_refuse, kind)
        elif name in readers:
            readers[name] = partial(_refuse, "two files of the archive have this name")
        else:
            readers[name] = reader
    return Collection(place=place, readers=readers, num_others=num_others, texts=texts)


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)


def _refuse(reason: str) -> bytes:
    raise BadImage(reason)


def _folder(place: Path) -> list[tuple[str, Reader]]:
    """Return a folder's files, those of nested folders too; tars in it count as folders."""
    found: list[tuple[str, Reader]] = []
    for folder, _folders, names in os.walk(place, onerror=_stop):
        for name in names:
            path = Path(folder, name)
            inside = path.relative_to(place).as_posix()
            if name.lower().endswith(PACKED_TARS):
                raise InputError(f"{path}: {PACKED}")
            if name.lower().endswith(".tar"):
                found += [(f"{inside}/{member}", read) for member, read in _tar(path)]
            else:
                found.append((_printable(inside), partial(_read_file, path)))
    return found


def _stop(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read ({error.strerror})")


def _printable(name: str) -> str:
    """Return a name that can be shown and written: line breaks and odd bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _read_file(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device would never end
            raise BadImage("not a regular file")
        _check_size(status.st_size)
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"cannot be read ({error.strerror})") from None


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_BYTES:
        raise BadImage(f"too large: {num_bytes:,} bytes, at most {MAX_BYTES:,}")


def _archive(place: Path) -> list[tuple[str, Reader]]:
    """Return the files of a zip or a tar, told apart by how it begins.

    A zip is known by its end too, but so is a tar whose last member is one (or an .npz): the images
    in that member would be scored in place of the tar's.
    """
    try:
        with place.open("rb") as file:
            head = file.read(TAR_BLOCK)
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror})") from None
    if head.startswith(ZIP_MAGIC):
        return _zip(place)
    if _begins_a_tar(head):
        return _tar(place)
    if place.suffix.lower() != ".tar" and zipfile.is_zipfile(place):  # behind a program's code
        return _zip(place)
    if place.suffix.lower() == ".tar":
        return _tar(place)  # says what is wrong with it
    raise InputError(f"{place}: expected a folder, a .zip or a .tar")


def _begins_a_tar(head: bytes) -> bool:
    """Say whether the first block is a tar's header, whose checksum even the oldest tars have."""
    try:
        tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _zip(place: Path) -> list[tuple[str, Reader]]:
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{place}: damaged zip ({error})") from None
    members = [info for info in archive.infolist() if not info.is_dir()]
    return [(_safe(info.filename), partial(_read_zip, archive, info)) for info in members]


def _safe(name: str) -> str:
    return _printable(name.replace("\\", "/"))


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise BadImage("its name leads outside the archive")


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    _check_name(_safe(info.filename))
    _check_size(info.file_size)
    try:
        with archive.open(info) as member:
            content = member.read(MAX_BYTES + 1)  # the header's size may lie
    except MemoryError:
        raise
    except Exception as error:
        raise BadImage(f"damaged in the zip ({' '.join(str(error).split())[:80]})") from None
    _check_size(len(content))
    return content


def _tar(place: Path) -> list[tuple[str, Reader]]:
    try:
        with tarfile.open(place, "r:") as archive:
            members = [(m.name, m.isreg(), m.offset_data, m.size) for m in archive if not m.isdir()]
            end = archive.offset
        file = _Shared(place)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise InputError(f"{place}: damaged tar ({error})") from None
    if place.stat().st_size == end:  # a whole tar goes on with blocks of zeros
        raise InputError(f"{place}: cut: the tar has no end mark")
    return [
        (_safe(name), partial(_read_tar, file, _Span(_safe(name), regular, start, size)))
        for name, regular, start, size in members
    ]


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a member's content lies in its tar."""

    name: str
    regular: bool
    start: int
    size: int


class _Shared:
    """A file that several threads read from, each at its own place."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._alone = threading.Lock()

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start``, or fewer at the end of the file."""
        with self._alone:
            self._file.seek(start)
            return self._file.read(size)


def _read_tar(file: _Shared, span: _Span) -> bytes:
    _check_name(span.name)
    if not span.regular:
        raise BadImage("a link or a special file in the tar")
    _check_size(span.size)
    return file.read(span.start, span.size)
