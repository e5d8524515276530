"""Every case of the shared folder gives the result that its README calls right."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from calling import Answer, Running

MB = 1 << 20
BLANK = 64 * MB  # what may be taken beside twice the size of a file


@dataclass(frozen=True)
class Case:
    """A copy of one case, and the environment that its commands run in."""

    folder: Path
    environment: dict[str, str]
    start: Callable[..., Running]

    def svertka(self, *arguments: object, seconds: float = 240) -> Answer:
        """Run a command of Svertka in the folder of the case, in a process of its own."""
        return self.start(*arguments, cwd=self.folder, environment=self.environment).wait(seconds)

    def script(self, name: str, *arguments: object) -> Answer:
        """Run a script of the case in its folder."""
        place = {"cwd": self.folder, "environment": self.environment}
        return self.start(*arguments, script=self.folder / name, **place).wait(240)

    def python(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder of the case, with nothing imported."""
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def refused(self, *arguments: object, words: tuple[str, ...] = (), seconds: float = 240) -> str:
        """Run a command that must end with status 2 and a line that says why, after what it read. Returns the line."""
        done = self.svertka(*arguments, seconds=seconds)
        assert done.status == 2, done.out + done.err
        *before, line = done.err.splitlines()
        assert line.startswith("svertka: "), done.err
        assert "Traceback" not in done.err
        assert not before or arguments[0] == "train", done.err
        for word in words:
            assert word in line
        return line


@pytest.fixture
def case(tmp_path: Path, start: Callable[..., Running]) -> Callable[[str], Case]:
    """Copy the case of that name; tests skip where the folder named by SVERTKA_CASES is absent."""
    cases = Path(os.environ.get("SVERTKA_CASES") or Path(__file__).parents[2] / "../shared/cases").resolve()

    def copied(name: str) -> Case:
        if not (cases / name).is_dir():
            pytest.skip(f"no folder of cases: {cases / name} (set SVERTKA_CASES)")
        folder = tmp_path / name
        shutil.copytree(cases / name, folder)
        for path in (folder, *folder.rglob("*")):  # the folder of cases may be read-only
            path.chmod(0o755 if path.is_dir() else 0o644)
        return Case(folder, {**os.environ, "OMP_NUM_THREADS": "1"}, start)

    return copied


@pytest.fixture(scope="session")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a LeNet-5 for greys of 32 × 32, trained for one epoch on noise, and exported."""
    import numpy as np
    from PIL import Image

    import svertka

    folder = tmp_path_factory.mktemp("lenet")
    numbers = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / "data" / label).mkdir(parents=True)
        for number in range(6):
            pixels = numbers.integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(pixels).save(folder / "data" / label / f"{number}.png")
    run = svertka.train(folder / "data", net="lenet5", epochs=1, threads=1, out=folder / "run", progress=False)
    svertka.export(run.model, progress=False)
    return folder / "run"


def checked(case: Case, *arguments: object) -> dict[str, Any]:
    """What `check` reports of data that can be read: status 0, or 1 for findings."""
    done = case.svertka("check", *arguments, "--json")
    assert done.status in (0, 1), done.err
    report: dict[str, Any] = json.loads(done.out)
    return report


def total(report: dict[str, Any]) -> dict[str, int]:
    """Annotations of each class in all subsets together."""
    counts: dict[str, int] = {}
    for subset in report["parts"].values():
        for name, count in subset.items():
            counts[name] = counts.get(name, 0) + count
    return counts


# Reading data sets


@pytest.mark.parametrize("data", ["coco", "voc", "table/labels.csv"])
def test_suffix_in_capitals(case: Callable[[str], Case], data: str) -> None:
    report = checked(case("suffix-in-capitals"), data)
    assert sum(report["images"].values()) == 3
    assert report["skipped"] == []


def test_voc_names_with_dots(case: Callable[[str], Case]) -> None:
    report = checked(case("voc-names-with-dots"), "data")
    assert total(report) == {"cell": 2}
    assert report["images"] == {"all": 2}


def test_cvat_project_subsets(case: Callable[[str], Case]) -> None:
    report = checked(case("cvat-project-subsets"), "data")
    assert report["images"] == {"train": 2, "val": 2, "test": 2}
    assert report["parts"] == {subset: {"cell": 2} for subset in ("train", "val", "test")}


def test_label_studio_min(case: Callable[[str], Case]) -> None:
    tried = case("label-studio-min")
    done = tried.svertka("check", "data", "--json")
    if done.status == 2:
        assert "min.json" in done.err
        assert "JSON" in done.err
        return
    assert total(json.loads(done.out)) == {"cell": 3}
    converted = tried.svertka("convert", "data", "boxes", "--format", "csv")
    assert converted.status == 0, converted.err
    rows = next(Path(tried.folder, "boxes").rglob("*.csv")).read_text().splitlines()
    assert [[float(edge) for edge in re.findall(r"(?<=,)[\d.]+(?=,|$)", row)][:4] for row in rows[1:]] == [
        [10, 20, 40, 60]
    ] * 3


def test_labelme_flags(case: Callable[[str], Case]) -> None:
    tried = case("labelme-flags")
    assert total(checked(tried, "data")) == {"cat": 3, "dog": 3}
    done = tried.svertka("train", "data", "--net", "lenet5", "--channels", 3, "--epochs", 1, "--threads", 1)
    assert done.status == 0, done.err


def test_labels_in_columns(case: Callable[[str], Case]) -> None:
    report = checked(case("labels-in-columns"), "data")
    assert report["parts"]["train"] == {"cat": 2, "dog": 2}
    assert set(report["parts"]) == {"train", "val"}
    assert report["images"] == {"train": 3, "val": 3}


def test_masks_beside_parts(case: Callable[[str], Case]) -> None:
    report = checked(case("masks-beside-parts"), "data")
    assert "mask" in report["format"]
    assert report["images"] == {"train": 2, "val": 2, "test": 2}


def test_masks_under_other_names(case: Callable[[str], Case]) -> None:
    tried = case("masks-under-other-names")
    done = tried.svertka("check", "data", "--json")
    if done.status == 2:
        assert "images" in done.err
        assert "masks" in done.err
        assert tried.svertka("train", "data", "--net", "lenet5", "--channels", 3, "--epochs", 1).status == 2
        return
    report = json.loads(done.out)
    assert "mask" in report["format"]
    assert sum(report["images"].values()) == 6
    tried.refused(
        "train", "data", "--net", "lenet5", "--channels", 3, "--epochs", 1, "--out", "run", words=("segmentation",)
    )
    assert not (tried.folder / "run").exists()


def test_table_beside_images(case: Callable[[str], Case]) -> None:
    tried = case("table-beside-images")
    done = tried.svertka("check", "data", "--json")
    if done.status == 2:
        assert "train.csv" in done.err
    else:
        assert total(json.loads(done.out)) == {"cat": 4, "dog": 4}
    done = tried.svertka("check", "data/train.csv", "--json")
    if done.status == 2:
        assert "image_id" in done.err
    else:
        assert total(json.loads(done.out)) == {"cat": 4, "dog": 4}


def test_csv_pipe(case: Callable[[str], Case]) -> None:
    tried = case("csv-pipe")
    subprocess.run(["mkfifo", tried.folder / "pipe.csv"], check=True)
    (tried.folder / "zero.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.csv"):
        tried.refused("check", name, words=("not a regular file",), seconds=15)


# Checkpoints and model files


def _limited(case: Case, megabytes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command that may take so much memory, and read what it took at most from the end of its errors."""
    code = (
        "import resource, sys\n"
        "from svertka.cli import run\n"
        "status = run(sys.argv[2:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = case.python("-c", code, megabytes, *arguments)
    assert "Traceback" not in done.stderr
    assert int(done.stderr.splitlines()[-1]) << 10 <= megabytes * MB, done.stderr
    return done


@pytest.fixture
def resnet20(shared_data: Path) -> Path:
    return shared_data / "weights" / "resnet20-12fca82f.th"


def test_checkpoint_wrappers(case: Callable[[str], Case], resnet20: Path) -> None:
    tried = case("checkpoint-wrappers")
    made = tried.script("make.py", resnet20)
    assert made.status == 0, made.err
    wanted = ["adopt", "--net", "resnet20_cifar", "--classes", ",".join("abcdefghij")]
    digests = set()
    for name in ("plain.pth", "compiled.pth", "compiled_ddp.pth", "compiled.safetensors"):
        target = tried.folder / "models" / f"{name}.safetensors"
        target.parent.mkdir(exist_ok=True)
        done = tried.svertka(*wanted, name, "--out", target)
        assert done.status == 0, done.err
        digests.add(digest_of_weights(target))
    assert len(digests) == 1
    tried.refused(*wanted, "nan.pth", words=("linear.bias",))


def digest_of_weights(path: Path) -> str:
    from safetensors.numpy import load_file

    digest = hashlib.sha256()
    for name, value in sorted(load_file(path).items()):
        digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def base_memory() -> int:
    """Megabytes that a refusal of a small checkpoint takes at most."""
    imported = "import resource, torch, svertka.commands.adopt.command, svertka.zoo.registry"
    code = f"{imported}; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) >> 10


def test_checkpoint_deflated(case: Callable[[str], Case], base_memory: int) -> None:
    tried = case("checkpoint-deflated")
    assert tried.script("make.py", "x.pth").status == 0
    size = (tried.folder / "x.pth").stat().st_size
    done = _limited(tried, base_memory + (2 * size + BLANK) // MB, "adopt", "x.pth")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 2


def test_checkpoint_strides(case: Callable[[str], Case], base_memory: int) -> None:
    tried = case("checkpoint-strides")
    done = _limited(tried, base_memory + BLANK // MB + 1, "adopt", "strides-vgg16.pth", "--net", "vgg16")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 2
    assert [path.name for path in tried.folder.glob("*.safetensors")] == []


def test_checkpoint_not_plain(case: Callable[[str], Case], resnet20: Path) -> None:
    tried = case("checkpoint-not-plain")
    tried.refused("adopt", "meta.pth", "--net", "resnet20_cifar")
    code = (
        "import sys, torch\n"
        "weights = torch.load(sys.argv[1], map_location='cpu', weights_only=True)['state_dict']\n"
        "torch.save({k: v.to_sparse() if v.dim() else v for k, v in weights.items()}, 'sparse.pth')\n"
        "scale = lambda v: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8) if v.is_floating_point() else v\n"
        "torch.save({k: scale(v) for k, v in weights.items()}, 'quantised.pth')\n"
    )
    assert tried.python("-W", "ignore", "-c", code, resnet20).returncode == 0
    for name in ("sparse.pth", "quantised.pth"):
        tried.refused("adopt", name, "--net", "resnet20_cifar")


@pytest.mark.parametrize("side", [7, 20_000, 65_535])
def test_card_size(case: Callable[[str], Case], lenet: Path, side: int) -> None:
    tried = case("card-size")
    forge = tried.folder / "forge.py"  # it was written when cards were of version 1
    forge.write_text(forge.read_text().replace('c["preprocess"]', 'c["input"]'))
    assert tried.script("forge.py", lenet / "model.safetensors", "out.safetensors", side).status == 0
    image = lenet.parent / "data" / "cat" / "0.png"
    for command in (
        ("predict", "out.safetensors", image),
        ("export", "out.safetensors"),
        ("evaluate", "out.safetensors", lenet.parent / "data"),
        ("explain", "out.safetensors", image, "--out", "page"),
        ("verify", "out.safetensors"),
    ):
        tried.refused(*command)


# Files, caches and the network


def test_temporary_symlink(case: Callable[[str], Case]) -> None:
    tried = case("temporary-symlink")
    place = tried.folder / "empty"
    place.mkdir()
    done = tried.script("try.py", place)
    assert done.out == "precious\n", done.err


def test_pixel_cache_damaged(case: Callable[[str], Case], lenet: Path) -> None:
    tried = case("pixel-cache-damaged")
    tried.environment["SVERTKA_CACHE"] = str(tried.folder / "cache")
    command = ("train", lenet.parent / "data", "--net", "lenet5", "--channels", 1, "--epochs", 1, "--threads", 1)
    plain = ("--precision", "fp32", "--layout", "channels_first", "--device", "cpu")
    assert tried.svertka(*command, *plain, "--out", "a").status == 0
    kept = list((tried.folder / "cache" / "images").glob("*.pixels"))
    assert kept, "the case damages these files"
    assert tried.script("damage.py", "cache").status == 0
    done = tried.svertka(*command, *plain, "--out", "b")
    assert done.status == 0, done.err
    assert "damaged" in done.err
    weights = [digest_of_weights(tried.folder / run / "model.safetensors") for run in "ab"]
    assert weights[0] == weights[1]


def test_onnxruntime_reports(case: Callable[[str], Case], lenet: Path) -> None:
    tried = case("onnxruntime-reports")
    image = lenet.parent / "data" / "cat" / "0.png"
    svertka = Path(sys.executable).with_name("svertka")
    if not svertka.exists():
        pytest.skip("svertka is not installed beside this Python")
    tried.environment["PATH"] = f"{svertka.parent}:{tried.environment['PATH']}"
    network = shutil.which("unshare") and shutil.which("strace")
    if network and subprocess.run(["unshare", "-n", "strace", "true"], capture_output=True, check=False).returncode:
        network = None
    done = subprocess.run(
        ["sh", "look.sh", lenet / "model.onnx", image],
        cwd=tried.folder,
        env=tried.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "files: 0\n" in done.stdout, done.stdout + done.stderr
    if not network:
        pytest.skip("no unshare or no strace: only the files were looked for")
    assert "attempts: 0\n" in done.stdout, done.stdout + done.stderr


# Training


@pytest.mark.parametrize("net", ["mobilenet_025", "resnet18", "googlenet", "densenet121", "efficientnet_lite0"])
@pytest.mark.parametrize("batch", [14, 1])
def test_last_batch_of_one(case: Callable[[str], Case], net: str, batch: int) -> None:
    tried = case("last-batch-of-one")
    flags = ("--image-size", 32, "--batch", batch, "--epochs", 1, "--threads", 1, "--out", "run")
    done = tried.svertka("train", "data", "--net", net, *flags)
    assert "Traceback" not in done.err
    if done.status == 2:
        assert done.err.splitlines()[-1].startswith("svertka: ")
        assert "--batch" in done.err.splitlines()[-1]
        assert not (tried.folder / "run").exists()
    else:
        assert done.status == 0, done.err
        assert (tried.folder / "run" / "model.safetensors").is_file()


def test_no_shared_memory(case: Callable[[str], Case], lenet: Path) -> None:
    tried = case("no-shared-memory")
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=4k", "none", "/dev/shm"],
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("no leave to mount a small /dev/shm")
    command = 'mount -t tmpfs -o size=4k none /dev/shm && exec "$@"'
    flags = ("--net", "lenet5", "--channels", "3", "--epochs", "1", "--workers", "2", "--out", "run")
    train = ("train", str(lenet.parent / "data"), *flags)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, "sh", sys.executable, "-m", "svertka", *train],
        cwd=tried.folder,
        env=tried.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "Traceback" not in done.stderr
    if done.returncode == 2:
        assert "/dev/shm" in done.stderr
        assert "--workers 0" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


# Python and HTTP


def test_one_path_for_many(case: Callable[[str], Case], lenet: Path) -> None:
    tried = case("one-path-for-many")
    done = tried.script("ask.py", lenet / "model.safetensors")
    lines = done.out.splitlines()
    assert len(lines) == 2, done.out + done.err
    assert all(re.fullmatch(r"\['[^']*data/0\.png: [^']*'\]", line) for line in lines), lines


@contextmanager
def serving(case: Case, *arguments: object) -> Iterator[str]:
    """Serve on some free port. Gives the address."""
    command = [sys.executable, "-m", "svertka", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(
        command, cwd=case.folder, env=case.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if address := re.search(r"http://[\w.:]+", line):
                yield address[0]
                return
        pytest.fail("the server did not start")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_below_a_path(case: Callable[[str], Case], lenet: Path) -> None:
    with serving(case("below-a-path"), lenet / "model.onnx") as address:
        for page in ("/", "/docs"):
            text = urllib.request.urlopen(f"{address}{page}").read().decode()
            assert "<html" in text
            assert not re.search(r"""(?:href|src)=["']/""", text), page
            assert not re.search(r"""["'`]/(?:v1|page)\b""", text), page
        script = urllib.request.urlopen(f"{address}/page.js").read().decode()
        assert not re.search(r"""["'`]/(?:v1|page|docs|metrics|readyz|healthz)\b""", script)
