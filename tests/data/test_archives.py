"""Archives: what is in them comes out, and nothing else, nowhere else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from svertka.commands.check.command import check
from svertka.data.readers.archives import Limits, archive_kind, unpacked
from svertka.data.readers.reading import open_dataset
from svertka.errors import UserError

WriteImages = Callable[..., None]
NAMES = ("cat/1.png", "cat/2.png", "dog/deep/3.png")
SMALL = Limits(files=50, ratio=10, free=100_000, depth=4, name=100)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def images(tmp_path: Path, write_images: WriteImages) -> dict[str, bytes]:
    write_images(tmp_path / "plain", NAMES)
    return {name: (tmp_path / "plain" / name).read_bytes() for name in NAMES}


def zip_of(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tar_of(path: Path, files: dict[str, bytes], mode: str = "w", **options: int) -> Path:
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("set.zip", "zip"),
        ("stored.zip", "zip"),
        ("set.tar", "tar"),
        ("set.tar.gz", "gz"),
        ("set.tgz", "gz"),
        ("set.tar.bz2", "bz2"),
        ("set.tar.xz", "xz"),
    ],
)
def test_every_kind_opens_and_is_unpacked_once(
    name: str, kind: str, images: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    if kind == "zip":
        zip_of(path, images, zipfile.ZIP_STORED if "stored" in name else zipfile.ZIP_DEFLATED)
    else:
        tar_of(path, images, "w" if kind == "tar" else f"w:{kind}")
    assert archive_kind(path) == kind
    dataset = open_dataset(path)
    assert dataset.format == f"class folders in a {'zip' if kind == 'zip' else 'tar'} archive"
    assert [(sample.name, sample.annotation) for sample in dataset.parts["all"]] == [
        ("cat/1.png", "cat"),
        ("cat/2.png", "cat"),
        ("dog/deep/3.png", "dog"),
    ]
    first = {file: file.stat().st_mtime_ns for file in cache.rglob("*.png")}
    assert len(first) == 3
    path = path.rename(path.with_name(f"renamed-{name}"))
    open_dataset(path)
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.png")} == first


@pytest.mark.parametrize("options", [{"format": tarfile.GNU_FORMAT}, {"format": tarfile.PAX_FORMAT}], ids=str)
def test_long_names_that_are_not_ascii(options: dict[str, int], images: dict[str, bytes], tmp_path: Path) -> None:
    folder = "зверь" * 24
    tar = tar_of(tmp_path / "set.tar", {f"{folder}/1.png": images["cat/1.png"], "b/2.png": b""}, **options)
    assert (unpacked(tar) / folder / "1.png").read_bytes() == images["cat/1.png"]


def test_several_streams_and_zeros_after_them(images: dict[str, bytes], tmp_path: Path) -> None:
    plain = tar_of(tmp_path / "set.tar", images).read_bytes()
    for name, compress in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        path = tmp_path / f"set.tar.{name}"
        path.write_bytes(compress(plain[:1000]) + compress(plain[1000:]) + bytes(8))
        assert len(open_dataset(path).parts["all"]) == 3


def test_a_folder_of_an_old_windows_program(images: dict[str, bytes], tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"cat\\": b"", **{name.replace("/", "\\"): images[name] for name in NAMES}})
    assert len(open_dataset(path).parts["all"]) == 3


def test_a_directory_larger_than_the_file_is_damage_to_the_archive(images: dict[str, bytes], tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "set.zip", images)
    data = archive.read_bytes()
    end = data.rindex(b"PK\5\6")
    archive.write_bytes(data[: end + 12] + struct.pack("<L", 1 << 24) + data[end + 16 :])
    with pytest.raises(UserError, match=r"set\.zip: a damaged zip archive"):
        open_dataset(archive)


def test_an_error_inside_names_the_archive(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"readme": b"nothing"})
    with pytest.raises(UserError, match=r"set\.zip: no images in class folders"):
        open_dataset(path)


def test_the_least_recently_used_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = unpacked(zip_of(tmp_path / "1.zip", {"a/1.png": bytes(4000)}))
    two = unpacked(zip_of(tmp_path / "2.zip", {"a/2.png": bytes(4000)}))
    unpacked(tmp_path / "1.zip")
    monkeypatch.setenv("SVERTKA_CACHE_GB", "9e-6")
    unpacked(zip_of(tmp_path / "3.zip", {"a/3.png": bytes(4000)}))
    assert (one.exists(), two.exists()) == (True, False)


def test_where_nothing_is_kept_nothing_is_unpacked(
    images: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVERTKA_CACHE_GB", "0")
    with pytest.raises(UserError, match="0 bytes are allowed; unpack it yourself"):
        unpacked(zip_of(tmp_path / "1.zip", images))


# Forty archives that mean harm. Each is made in a folder of its own; `x` is what an honest member holds.

Make = Callable[[Path], Path]
HOSTILE: dict[str, tuple[Make, str]] = {}


def hostile(name: str, problem: str) -> Callable[[Make], Make]:
    def kept(make: Make) -> Make:
        HOSTILE[name] = make, problem
        return make

    return kept


BAD_NAMES = {
    "../../outside.png": "leads out",
    "a/../../outside.png": "leads out",
    "a/b/..": "leads out",
    "/tmp/svertka-outside.png": "leads out",
    "//host/share/outside.png": "leads out",
    "..\\..\\outside.png": "leads out",
    "\\\\host\\share\\outside.png": "leads out",
    "C:\\outside.png": "leads out",
    "c:outside.png": "leads out",
    "a/\nb.png": "control character",
    "a/\x1b[31m.png": "control character",
    "a/" + "n" * 300 + ".png": "too long",
    "/".join("a" * 90): "too long",
    "a/b/c/d/e/f.png": "folders deep",
}
for number, (bad, problem) in enumerate(BAD_NAMES.items()):
    hostile(f"zip name {number}", problem)(
        lambda folder, bad=bad: zip_of(folder / "x.zip", {"a/1.png": b"x", bad: b"x"})
    )
    hostile(f"tar name {number}", problem)(
        lambda folder, bad=bad: tar_of(folder / "x.tar", {"a/1.png": b"x", bad: b"x"})
    )


def tar_with(folder: Path, kind: bytes, link: str = "", name: str = "a/link") -> Path:
    path = folder / "x.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(2):
            info = tarfile.TarInfo(name if number == 0 else f"{name}/1.png")
            info.type, info.linkname = (kind, link) if number == 0 else (tarfile.REGTYPE, "")
            archive.addfile(info)
    return path


KINDS = {
    "symbolic link": (tarfile.SYMTYPE, "../../../outside"),
    "hard link": (tarfile.LNKTYPE, "/etc/hostname"),
    "character device": (tarfile.CHRTYPE, ""),
    "block device": (tarfile.BLKTYPE, ""),
    "pipe": (tarfile.FIFOTYPE, ""),
    "sparse file": (tarfile.GNUTYPE_SPARSE, ""),
    "unknown kind": (b"Z", ""),
}
for title, (kind, link) in KINDS.items():
    words = title.split()[-1] if "device" in title else title
    hostile(f"tar {title}", words)(lambda folder, kind=kind, link=link: tar_with(folder, kind, link))


@hostile("zip symbolic link", "a symbolic link")
def _(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        for number in range(3):  # a chain: each leads one further out
            info = zipfile.ZipInfo(f"link{number}")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, f"link{number - 1}/.." if number else "..")
        archive.writestr("link2/outside.png", b"x")
    return folder / "x.zip"


@hostile("zip pipe", "a device or a pipe")
def _(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("pipe")
        info.external_attr = 0o010644 << 16
        archive.writestr(info, b"")
    return folder / "x.zip"


@hostile("zip bomb", "bytes are allowed")
def _(folder: Path) -> Path:
    return zip_of(folder / "x.zip", {"a/1.png": bytes(30_000_000)})


@hostile("zip of many small bombs", "bytes are allowed")
def _(folder: Path) -> Path:
    return zip_of(folder / "x.zip", {f"a/{number}.png": bytes(20_000) for number in range(40)})


for suffix in ("gz", "bz2", "xz"):
    hostile(f"tar.{suffix} bomb", "bytes are allowed")(
        lambda folder, suffix=suffix: tar_of(folder / f"x.tar.{suffix}", {"a/1.png": bytes(30_000_000)}, f"w:{suffix}")
    )


@hostile("tar of one file in two names", "in it twice")
def _(folder: Path) -> Path:
    return tar_of(folder / "x.tar", {"a/1.png": b"x", "./a//1.png": b"y"})


@hostile("zip of one file in two names", "in it twice")
def _(folder: Path) -> Path:
    return zip_of(folder / "x.zip", {"a/1.png": b"x", "a\\1.png": b"y"})


@hostile("zip of a file that is a folder", "both a file and a folder")
def _(folder: Path) -> Path:
    return zip_of(folder / "x.zip", {"a/1.png": b"x", "a/1.png/2.png": b"y"})


@hostile("zip entries over one another", "over one another")
def _(folder: Path) -> Path:
    data = bytearray(zip_of(folder / "x.zip", {"a/1.png": b"x" * 500, "a/2.png": b"y" * 500}).read_bytes())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = bytes(4)  # it begins where the first does
    (folder / "x.zip").write_bytes(data)
    return folder / "x.zip"


def lying_zip(folder: Path, size: int) -> Path:
    data = bytearray(zip_of(folder / "x.zip", {"a/1.png": bytes(50_000)}).read_bytes())
    directory = data.rindex(b"PK\1\2")
    data[directory + 24 : directory + 28] = struct.pack("<L", size)
    (folder / "x.zip").write_bytes(data)
    return folder / "x.zip"


hostile("zip with less in its directory", "damaged")(lambda folder: lying_zip(folder, 10))
hostile("zip with more in its directory", "cut short|damaged")(lambda folder: lying_zip(folder, 90_000))
hostile("zip with 4 GB in its directory", "bytes are allowed")(lambda folder: lying_zip(folder, 2**32 - 2))


def lying_tar(folder: Path, field: bytes) -> Path:
    data = bytearray(tar_of(folder / "x.tar", {"a/1.png": b"x"}).read_bytes())
    data[124:136] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    (folder / "x.tar").write_bytes(data)
    return folder / "x.tar"


hostile("tar with a size beyond its end", "past the end")(lambda folder: lying_tar(folder, b"77777777777\0"))
hostile("tar with a huge binary size", "past the end")(lambda folder: lying_tar(folder, b"\x80" + b"\xff" * 11))
hostile("tar with a negative size", "no size")(lambda folder: lying_tar(folder, b"\xff" * 12))
hostile("tar with a size that is no number", "no size")(lambda folder: lying_tar(folder, b"-0000000001\0"))


@hostile("zip of a great many empty files", "over 50 files")
def _(folder: Path) -> Path:
    return zip_of(folder / "x.zip", {f"a/{number}.png": b"" for number in range(60)})


@hostile("zip that counts its files wrongly", "over 50 files")
def _(folder: Path) -> Path:
    data = bytearray(zip_of(folder / "x.zip", {f"a/{number}.png": b"" for number in range(600)}).read_bytes())
    end = data.rindex(b"PK\5\6")
    data[end + 8 : end + 12] = struct.pack("<HH", 1, 1)
    (folder / "x.zip").write_bytes(data)
    return folder / "x.zip"


@hostile("tar of a great many empty files", "over 50 files")
def _(folder: Path) -> Path:
    return tar_of(folder / "x.tar", {f"a/{number}.png": b"" for number in range(60)})


@hostile("zip with a zero byte in a name", "control character")
def _(folder: Path) -> Path:
    data = zip_of(folder / "x.zip", {"a/1.png.exe": b"x"}).read_bytes()
    (folder / "x.zip").write_bytes(data.replace(b"1.png.exe", b"1.png\0exe"))
    return folder / "x.zip"


def pax(folder: Path, record: bytes) -> Path:
    tar = tar_of(folder / "x.tar", {"a/1.png": b"x"}).read_bytes()
    header = bytearray(tar[:512])
    header[124:136], header[156:157], header[148:156] = b"%011o\0" % len(record), b"x", b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (folder / "x.tar").write_bytes(bytes(header) + record + bytes(-len(record) % 512) + tar)
    return folder / "x.tar"


hostile("tar with a zero byte in a name", "control character")(lambda folder: pax(folder, b"14 path=a/b\0c\n"))
hostile("tar with a pax name that leads out", "leads out")(lambda folder: pax(folder, b"21 path=../outside.p\n"))
hostile("tar with a pax size beyond its end", "past the end")(lambda folder: pax(folder, b"18 size=999999999\n"))
hostile("tar with a record of no length", "no record")(lambda folder: pax(folder, b"0 path=a\n"))
hostile("tar with a record longer than all", "no record")(lambda folder: pax(folder, b"999 path=a\n"))
hostile("tar with a header of megabytes", "a header of")(lambda folder: pax(folder, b"x" * 2_000_000))


@hostile("zip that is encrypted", "encrypted")
def _(folder: Path) -> Path:
    data = bytearray(zip_of(folder / "x.zip", {"a/1.png": b"x"}).read_bytes())
    data[data.rindex(b"PK\1\2") + 8] |= 1
    (folder / "x.zip").write_bytes(data)
    return folder / "x.zip"


@hostile("zip with LZMA", "compressed in a way")
def _(folder: Path) -> Path:
    return zip_of(folder / "x.zip", {"a/1.png": b"x"}, zipfile.ZIP_LZMA)


@hostile("zip cut short", "without its directory")
def _(folder: Path) -> Path:
    path = zip_of(folder / "x.zip", {"a/1.png": b"x" * 99})
    path.write_bytes(path.read_bytes()[:60])
    return path


@hostile("gz cut short", "cut short")
def _(folder: Path) -> Path:
    path = tar_of(folder / "x.tar.gz", {"a/1.png": b"x" * 99}, "w:gz")
    path.write_bytes(path.read_bytes()[:-20])
    return path


@hostile("gz with a wrong checksum", "damaged")
def _(folder: Path) -> Path:
    path = tar_of(folder / "x.tar.gz", {"a/1.png": b"x" * 99}, "w:gz")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    return path


def test_they_are_forty_of_both_kinds() -> None:
    assert sum("zip" in name for name in HOSTILE) >= 20
    assert sum("zip" not in name for name in HOSTILE) >= 20


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_writes_nothing_anywhere(name: str, cache: Path, tmp_path: Path) -> None:
    make, problem = HOSTILE[name]
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    path = make(inside)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        unpacked(path, SMALL)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert line.isprintable()
    assert any(part in line for part in problem.split("|")), line
    after = [file for file in sorted(tmp_path.rglob("*")) if file not in (cache, cache / "archives")]
    assert after == before


@pytest.mark.parametrize("name", [name for name in HOSTILE if "bomb" in name or "directory" in name])
def test_never_more_bytes_than_allowed_are_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    opened = Path.open

    def counting(self: Path, mode: str = "r", *arguments: object, **options: object) -> object:
        file = opened(self, mode, *arguments, **options)  # type: ignore[call-overload]
        if mode != "xb":
            return file

        class Counted(io.BufferedIOBase):
            def write(self, data: object) -> int:
                nonlocal written
                written += len(data)  # type: ignore[arg-type]
                return int(file.write(data))

            def close(self) -> None:
                file.close()

        return Counted()

    path = HOSTILE[name][0](tmp_path)
    monkeypatch.setattr(Path, "open", counting)
    with pytest.raises(UserError):
        unpacked(path, SMALL)
    assert written <= SMALL.total(path)


def test_bombs_within_bombs_stay_packed(images: dict[str, bytes], tmp_path: Path) -> None:
    bomb = zip_of(tmp_path / "bomb.zip", {"a/1.png": bytes(3_000_000)}).read_bytes()
    outer = zip_of(tmp_path / "outer.zip", {**images, "cat/inner.zip": bomb, "more.tar.gz": bomb})
    assert len(open_dataset(outer).parts["all"]) == 3
    assert sum(file.stat().st_size for file in unpacked(outer).rglob("*") if file.is_file()) < 20_000


def test_names_that_are_no_utf8_are_files_below_the_folder(images: dict[str, bytes], tmp_path: Path) -> None:
    data = tar_of(tmp_path / "x.tar", {"caf\udce9/1.png": images["cat/1.png"]}, format=tarfile.GNU_FORMAT)
    dataset = open_dataset(data)
    assert [sample.annotation for sample in dataset.parts["all"]] == ["caf\\xe9"]
    assert dataset.parts["all"][0].source.load()[0].shape == (6, 5, 3)


@pytest.mark.parametrize("name", ["x.7z", "x.rar", "x.tar.zst"])
def test_a_foreign_kind_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(UserError, match="an archive of a kind that is not read here; unpack it yourself"):
        open_dataset(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "images_in_all", "classes"),
    [("images_background_small1.zip", 2720, 136), ("images_background_small2.zip", 3120, 156)],
)
def test_omniglot(shared_data: Path, name: str, images_in_all: int, classes: int) -> None:
    dataset = open_dataset(shared_data / "omniglot" / name)
    labels = [sample.annotation for sample in dataset.parts["all"]]
    assert (len(labels), len(set(labels))) == (images_in_all, classes)
    assert dataset.parts["all"][0].source.load()[0].shape == (105, 105, 3)
    assert (
        len({sample.annotation for sample in open_dataset(shared_data / "omniglot" / name, "folders").parts["all"]})
        == 5
    )


def test_what_lies_beside_an_archive_is_no_unused_image_of_it(
    tmp_path: Path, images: dict[str, bytes], write_images: WriteImages
) -> None:
    place = tmp_path / "downloads"
    place.mkdir()
    archive = zip_of(place / "pets.zip", images)
    write_images(place, ["holiday.png"])
    assert [finding.kind for finding in check(archive, progress=False).findings if "annotation" in finding.kind] == []
