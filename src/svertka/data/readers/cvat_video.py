"""The tracks of CVAT's XML for video, whose frames are images called ``frame_000000.png`` and so on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element

from svertka.data.files.layout import relative
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, name_of, whole
from svertka.data.files.stated import Stated
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.cvat_shapes import read_shape
from svertka.data.samples import ImageFile, Skipped
from svertka.errors import UserError
from svertka.runtime.image import ImageError, image_size, read_file

_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_FRAME = re.compile(r"frame_(\d{6,9})", re.I)
_TRACK = Fields("a track", read=("id", "label", "source", "task_id", "subset"), minor=("group_id",))
_EXPORT = "export the task as 'CVAT for video' or 'CVAT for images' with 'Save images' on"


@dataclass
class Tracks:
    """Gathers the objects of each frame.

    Attributes:
        file: The XML.
        finder: Finds images.
        skipped: Is given what is left out.
        unread: Counts what is not read.
        images: The frames, by number.
    """

    file: Path
    finder: ImageFinder
    skipped: list[Skipped]
    unread: UnreadCounter
    images: dict[int, Stated] = field(default_factory=dict)

    def take(self, track: Element) -> None:
        """The objects of one track.

        CVAT writes a shape for every frame, those between keyframes too. A shape that is ``outside`` is not in the
        frame.

        Raises:
            UserError: There are no frames.
        """
        where = f"{self.file.name}, track {track.get('id', '')[:20]}"
        if not self._paths:
            raise self._no_frames()
        try:
            label = name_of(track.get("label"))
        except RecordError as error:
            self.skipped.append(Skipped(where, str(error)))
            return
        self.unread.fields(track.attrib, _TRACK, where)
        last: int | None = None
        for place, shape in enumerate(track, 1):
            at = f"{where}, shape {place}"
            try:
                frame = whole(shape.get("frame"), "its frame")
                if last is not None and self._are_between(last, frame):
                    self.unread.add("place of a track in frames between two keyframes", at)
                visible = shape.get("outside") != "1"
                last = frame if visible else None
                image = self._frame(frame)
                if visible:
                    assert image.size is not None
                    image.boxes.append(read_shape(shape, image.size, self.unread, at, label))
            except RecordError as error:
                self.skipped.append(Skipped(at, str(error)))

    def finished(self) -> list[Stated]:
        """All frames in their order, those without objects too."""
        for number in self._paths:
            try:
                self._frame(number)
            except RecordError as error:
                self.skipped.append(Skipped(self._paths[number].name, str(error)))
        return [self.images[number] for number in sorted(self.images)]

    @cached_property
    def _paths(self) -> dict[int, Path]:
        named = ((_FRAME.fullmatch(path.stem), path) for path in self.finder.images)
        return {int(match[1]): path for match, path in named if match}

    def _frame(self, number: int) -> Stated:
        path = self._paths.get(number)
        if path is None:
            raise RecordError(f"frame_{number:06d} does not exist")
        if number not in self.images:
            try:
                size = image_size(read_file(path))
            except ImageError as error:
                raise RecordError(error.what) from error
            self.images[number] = Stated(relative(path, self.finder.root), ImageFile(path), size=size)
        return self.images[number]

    def _are_between(self, first: int, second: int) -> bool:
        return any(number in self._paths for number in range(first + 1, min(second, first + 100)))

    def _no_frames(self) -> UserError:
        folder = self.finder.root
        videos = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _VIDEOS)
        if videos:
            return UserError(
                f"its frames are in the video {videos[0]}, which is not read with annotations",
                where=self.file,
                mend=f"{_EXPORT}, or save the frames as frame_000000.png, frame_000001.png, …",
            )
        return UserError("tracks, and no images called frame_000000 and so on", where=self.file, mend=_EXPORT)
