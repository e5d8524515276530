"""Frames of videos: which ones, upright, and nothing but videos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.runtime.image import ImageError
from svertka.runtime.video import frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second; the red of a frame is eight times its number."""
    av: Any = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(30):
            picture = np.zeros((48, 64, 3), np.uint8)
            picture[..., 0] = 8 * number
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize(("every", "numbers"), [(1.0, [0, 10, 20]), (0.45, [0, 5, 9, 14, 18, 23, 27]), (60, [0])])
def test_frames_come_at_their_times(every: float, numbers: list[int], clip: Path) -> None:
    seen = list(frames(clip, every))
    assert [round(10 * seconds) for seconds, _ in seen] == numbers
    for number, (_, picture) in zip(numbers, seen, strict=True):
        assert picture.shape == (48, 64, 3)
        assert picture.dtype == np.uint8
        assert abs(float(picture[..., 0].mean()) - 8 * number) < 12


def test_what_is_no_video_is_said_in_one_line(clip: Path, tmp_path: Path) -> None:
    for name, data in {
        "text.mp4": b"hello" * 100,
        "empty.avi": b"",
        "cut.mp4": clip.read_bytes()[:300],
        "list.mkv": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9.0,\nhttp://127.0.0.1:9/clip.ts\n",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError) as caught:
            list(frames(tmp_path / name, 1.0))
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError):
        list(frames(tmp_path / "none.mp4", 1.0))


def test_without_what_reads_them_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"svertka\[video\]"):
        next(frames(Path("clip.mp4"), 1.0))
