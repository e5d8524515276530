"""JSON, XML and YAML that strangers wrote: read whole, within limits, and never obeyed.

A document type, an entity, an anchor or a tag is refused: no annotation needs one, and they can make a small file
large in memory, name other files, or call functions.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from svertka.data.files.records import RecordError

MAX_JSON: Final = 1 << 30
MAX_XML: Final = 8 << 20  # of one image; the tree takes about twenty times as much
MAX_XML_STREAM: Final = 1 << 30  # of many images, read one by one
MAX_YAML: Final = 64 << 10  # which takes up to three seconds; the thousand classes of ImageNet take half of it
MAX_TEXT: Final = 64 << 20
MAX_TABLE: Final = 1 << 30  # of a CSV or of JSON lines, read line by line

_DEPTH = 20  # of YAML
_TOO_DEEP = "not readable YAML (lists within lists without end)"
_PEEK = 65_536  # bytes at both ends that tell what a file is


def read_text(path: Path, limit: int = MAX_TEXT) -> str:
    """A text in UTF-8 (or UTF-16 with its mark).

    Raises:
        RecordError: It cannot be read, is over ``limit`` bytes, or no such text.
    """
    data = _read(path, limit)
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"not a text in UTF-8 ({error.reason} at byte {error.start:,})") from error


def read_json(path: Path) -> Any:
    """What a JSON file says; numbers that are none (NaN) are left for `svertka.data.files.records.number` to name.

    Raises:
        RecordError: It cannot be read, is too large or deep, or no JSON.
    """
    try:
        return json.loads(read_text(path, MAX_JSON))
    except RecursionError:
        raise RecordError("not readable JSON (lists within lists without end)") from None
    except ValueError as error:
        raise RecordError(f"not readable JSON ({error})") from error


def read_xml(path: Path) -> Element:
    """The root of an XML document.

    Raises:
        RecordError: It cannot be read, is over ``MAX_XML``, no XML, or declares a document type.
    """
    import defusedxml.ElementTree as Defused
    from defusedxml import DefusedXmlException

    check_file(path, MAX_XML)
    try:
        root: Element = Defused.parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException:
        raise RecordError("XML with a document type, which may hold entities, and is not read") from None
    except (ParseError, ValueError, LookupError, OSError) as error:  # LookupError: an encoding that nobody knows
        raise RecordError(f"not readable XML ({error})") from error
    return root


def stream_xml(path: Path, *tags: str) -> Iterator[Element]:
    """Each element right below the root of an XML document that has one of these tags; what was read is let go.

    Raises:
        RecordError: It cannot be read, is over ``MAX_XML_STREAM``, no XML, or declares a document type.
    """
    import defusedxml.ElementTree as Defused
    from defusedxml import DefusedXmlException

    check_file(path, MAX_XML_STREAM)
    depth, root = 0, None
    try:
        for event, element in Defused.iterparse(path, events=("start", "end"), forbid_dtd=True):
            depth += 1 if event == "start" else -1
            if root is None:
                root = element
            if event == "end" and depth == 1:
                if element.tag in tags:
                    yield element
                element.clear()
                root.clear()
    except DefusedXmlException:
        raise RecordError("XML with a document type, which may hold entities, and is not read") from None
    except (ParseError, ValueError, LookupError, OSError) as error:
        raise RecordError(f"not readable XML ({error})") from error


def read_yaml(path: Path) -> Any:
    """What a YAML file says, every scalar as text: a class called ``no`` stays ``no``.

    Raises:
        RecordError: It cannot be read, is over ``MAX_YAML``, no YAML, or has a tag or an anchor.
    """
    import yaml

    class Plain(yaml.BaseLoader):
        """Knows texts, lists and tables, to a small depth: the time of the library grows with its cube."""

        flow_level: int
        depth = 0

        def fetch_flow_collection_start(self, kind: Any) -> None:
            if self.flow_level > _DEPTH:
                raise RecordError(_TOO_DEEP)
            super().fetch_flow_collection_start(kind)

        def compose_node(self, parent: Any, index: Any) -> Any:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
                raise RecordError("YAML with anchors, which is not read")
            if event.tag is not None:
                raise RecordError(f"YAML with the tag {event.tag[:50]!r}, which is not read")
            self.depth += 1
            if self.depth > _DEPTH:
                raise RecordError(_TOO_DEEP)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    try:
        loader = Plain(read_text(path, MAX_YAML))
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise RecordError(f"not readable YAML ({' '.join(str(error).split())[:200]})") from error


def peek(path: Path) -> str:
    """Beginning and end of a text file, to tell what it is; empty where it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        with path.open("rb") as file:
            start = file.read(_PEEK)
            size = file.seek(0, 2)
            file.seek(max(len(start), size - _PEEK))
            return (start + file.read()).decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    except OSError:
        return ""


def has_keys(text: str, *keys: str) -> bool:
    """Whether a piece of JSON has all these keys, at whatever depth."""
    return all(re.search(rf'"{key}"\s*:', text) for key in keys)


def check_file(path: Path, limit: int) -> None:
    """See that a file can be read to its end.

    Raises:
        RecordError: It is a pipe or a device, which may never end, is over ``limit`` bytes, or is not there.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot be read ({getattr(error, 'strerror', error)})") from error
    if not stat.S_ISREG(status.st_mode):
        raise RecordError("not a regular file")
    if status.st_size > limit:
        raise RecordError(f"{status.st_size:,} bytes, over the limit of {limit:,}")


def _read(path: Path, limit: int) -> bytes:
    check_file(path, limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror or error})") from error
