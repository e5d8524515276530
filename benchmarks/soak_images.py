"""What mutated images do to the decoder: pixels, or an error of one line, within 2 seconds and 512 MB.

    python benchmarks/soak_images.py [--mutants 20000]      SVERTKA_DATA names the folder of real data

Small images of every format that is read, and the odd but valid ones among the real data, are mutated: bytes are
changed, put in, cut out and doubled; numbers in headers become large; PNG's checksums are put right, without which
nothing else of them is looked at. Each mutant is decoded, as training does, and glanced at, as checking does, in a
process whose memory is limited. Last measured:

    20,000 mutants of 231 images: 5,404 still read, the slowest in 597 ms, memory at most 29 MB more; without a limit,
    over the last nine tenths 1 MB more in use, 18 MB with what is free
    Under the limit what is resident swung between 65 and 94 MB over 40,000 mutants, without a trend.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from svertka.runtime.image import MAX_PIXELS, ImageError, decode, glance, image_size

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "property"))
from image_files import FILES, TEXTS, whole, with_checksums  # noqa: E402

SECONDS, MEGABYTES, DRIFT = 2, 512, 32
_WARM = 0.1  # share of the mutants after which memory must stay as it is
_HEAD = 256  # bytes, in which the structure of most formats stands
_LARGE = (2**31 - 1, 2**32 - 1, 2**31, 2**16 - 1, 2**24, 100_000, 30_000, 0)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with one to five changes, half of them near its beginning."""
    for _ in range(chance.randint(1, 5)):
        start = chance.randint(0, min(len(data), _HEAD) if chance.random() < 0.5 else len(data))
        end = min(len(data), start + chance.randint(1, 64))
        match chance.randrange(7):
            case 0:
                data = data[:start] + chance.randbytes(chance.randint(1, 8)) + data[start + 1 :]
            case 1:
                data = data[:start] + chance.randbytes(chance.randint(1, 40)) + data[start:]
            case 2:
                data = data[:start] + data[end:]
            case 3:
                data = data[:end] + data[start:end] * chance.randint(1, 20) + data[end:]
            case 4 if chance.random() < 0.3:
                data = data[:start]
            case 5:
                large = chance.choice(_LARGE)
                data = (
                    data[:start] + large.to_bytes(4, "big" if chance.random() < 0.5 else "little") + data[start + 4 :]
                )
            case _:
                turned = bytes(byte ^ 1 << chance.randrange(8) for byte in data[start : start + 1])
                data = data[:start] + turned + data[start + 1 :]
    return with_checksums(data) if data.startswith(b"\x89PNG") and chance.random() < 0.8 else data


def judge(data: bytes) -> bool:
    """Whether it is read. Fail unless what comes out is sound."""
    try:
        pixels = decode(data, where="mutant")
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert 0 < pixels.size // 3 <= MAX_PIXELS
        read = True
    except ImageError as error:
        _of_one_line(error)
        read = False
    try:
        seen = glance(data, side=64, where="mutant")
        assert seen.pixels.shape[2] == 3
        assert min(image_size(data)) > 0
    except ImageError as error:
        _of_one_line(error)
    return read


def _of_one_line(error: ImageError) -> None:
    if "\n" in str(error):
        raise AssertionError("an error of several lines") from error


def soak(files: Mapping[str, bytes], mutants: int, *, seed: int = 0, note: Path | None = None) -> dict[str, float]:
    """Decode so many mutants of these files.

    Args:
        files: By name.
        mutants: Of all of them together.
        seed: Another seed gives other mutants.
        note: File to which each mutant goes before it is decoded, for the case that the process dies of it.

    Returns:
        Seconds of the slowest, how many were still read, and by how many MB memory grew once warm: what is in use
        (``drift``), and with what the C library keeps of what was freed (``resident``).

    Raises:
        AssertionError: What came out of one is not sound.
    """
    chance = random.Random(seed)
    names = list(files)
    slowest, read, warm, warm_resident = 0.0, 0, 0, 0
    for number in range(mutants):
        data = mutated(files[names[number % len(names)]], chance)
        if note:
            note.write_bytes(data)
        started = time.perf_counter()
        read += judge(data)
        slowest = max(slowest, time.perf_counter() - started)
        if number == int(mutants * _WARM):
            warm_resident, warm = _resident(), _resident(trimmed=True)
    grown = _resident() - warm_resident
    drift = _resident(trimmed=True) - warm
    return {"slowest": slowest, "read": read, "drift": drift / 2**20, "resident": grown / 2**20}


def _resident(*, trimmed: bool = False) -> int:
    # What was freed, glibc keeps for later: tens of megabytes, that come and go with the largest image of late.
    if trimmed:
        gc.collect()
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def files_at_hand() -> dict[str, bytes]:
    """The small images, and the odd ones of the real data where these are."""
    files = {name: whole(name) for name in (*FILES, *TEXTS)}
    odd = Path(os.environ.get("SVERTKA_DATA") or ROOT / "../shared/data").resolve() / "odd-images" / "loads"
    if odd.is_dir():
        files |= {file.name: file.read_bytes() for file in sorted(odd.iterdir())}
    return files


def _child(mutants: int, note: Path, *, limited: bool) -> None:
    """In a process of its own: the limits are the process's."""
    files = files_at_hand()
    for data in files.values():  # each codec is loaded
        judge(data)
    if limited:
        base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (base + MEGABYTES * 2**20,) * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = soak(files, mutants, note=note)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps(found | {"files": len(files), "megabytes": grown / 1024}))


def _run(mutants: int, how: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder, "mutant")
        command = [sys.executable, __file__, "--mutants", str(mutants), "--note", str(note), "--child", how]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            kept = Path(tempfile.gettempdir(), "soak_images_mutant")
            kept.write_bytes(note.read_bytes())
            sys.exit(f"{done.stderr[-2000:]}\nFAILED with {done.returncode}; the last mutant is {kept}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    """Soak in a process that may die, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--note", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=("limited", "free"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments.mutants, arguments.note, limited=arguments.child == "limited")
        return
    # Drift is measured without a limit: under one, glibc gives nothing back, and what it keeps swings by 40 MB.
    told, free = _run(arguments.mutants, "limited"), _run(arguments.mutants, "free")
    print(
        f"{arguments.mutants:,} mutants of {told['files']} images: {told['read']:,} still read, "
        f"the slowest in {told['slowest'] * 1000:.0f} ms, memory at most {told['megabytes']:.0f} MB more; "
        f"without a limit, over the last nine tenths {free['drift']:.0f} MB more in use, "
        f"{free['resident']:.0f} MB with what is free"
    )
    sys.exit(told["slowest"] > SECONDS or told["megabytes"] > MEGABYTES or free["drift"] > DRIFT)


if __name__ == "__main__":
    main()
