"""The page of what was found in a data set, with pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.annotations import Boxes
from svertka.exhibits import Exhibit, Facts, Gallery, Listing, Picture
from svertka.report.page import Section, write_report
from svertka.runtime.files import make_folder
from svertka.runtime.image import ImageError
from svertka.wording import counted, inflected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from svertka.data.checks.findings import Finding
    from svertka.data.checks.survey import Survey
    from svertka.data.samples import Sample

_NAMED = 200  # files of a finding


def write_check_report(path: Path, survey: Survey, findings: Sequence[Finding]) -> None:
    """Write the page.

    Raises:
        UserError: It cannot be written.
    """
    by_name = {sample.name: sample for sample in survey.samples}
    counts = Counter(finding.severity for finding in findings)
    images = Counter(survey.parts[position] for position in survey.usable.tolist())
    told = ", ".join(counted(counts[severity], severity) for severity in counts)
    sections = [
        Section(
            name=f"{finding.severity.capitalize()}: {finding.kind.replace('_', ' ')}",
            exhibits=_exhibits(finding, by_name),
        )
        for finding in findings
    ]
    facts = [
        ("Read from", str(survey.dataset.root)),
        ("Format", survey.dataset.format),
        *((part, counted(count, "image")) for part, count in images.items()),
    ]
    read: list[Exhibit] = [Facts(title="What was read", items=facts)]
    if survey.dataset.notes:
        read.append(Listing(title="Choices made while reading", text="\n".join(survey.dataset.notes)))
    sections.append(Section(name="The data", exhibits=read))
    make_folder(path.parent)
    write_report(
        path,
        title=f"Check of {survey.dataset.root.resolve().name}",
        lead=f"Of {counted(sum(images.values()), 'image')}: {told or 'nothing found that needs mending'}.",
        headline=[(inflected(count, severity), f"{count:,}") for severity, count in counts.items()],
        sections=sections,
    )


def _exhibits(finding: Finding, by_name: dict[str, Sample]) -> list[Exhibit]:
    exhibits: list[Exhibit] = [
        Facts(title="What it is", items=[("Found", finding.message), ("To mend it", finding.mend)])
    ]
    pictures = []
    for shown in finding.exhibited:
        if image := _image(by_name.get(shown.name)):
            pictures.append(Picture(image=image[0], caption=shown.caption, detail=shown.detail))
    if pictures:
        exhibits.append(Gallery(title="Pictures", pictures=pictures))
    lines = finding.lines()
    left = len(lines) - _NAMED
    text = "\n".join(lines[:_NAMED]) + (f"\n… and {left:,} more" if left > 0 else "")
    if text:
        exhibits.append(Listing(title="Files", text=text))
    return exhibits


def _image(sample: Sample | None) -> tuple[NDArray[np.uint8]] | None:
    if sample is None:
        return None
    try:
        image, _ = sample.source.load()
    except ImageError:
        return None
    return (_with_boxes(image, sample.annotation) if isinstance(sample.annotation, Boxes) else image,)


def _with_boxes(image: NDArray[np.uint8], annotation: Boxes) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    wide = max(1, max(picture.size) // 160)
    for box in annotation.boxes:
        edges = np.array([box.left, box.top, box.right, box.bottom])
        if np.isfinite(edges).all():
            # Far outside there is nothing to draw; without area, a cross can be seen.
            left, top, right, bottom = np.clip(edges, -wide, max(picture.size) + wide).tolist()
            left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
            draw.rectangle((left, top, right, bottom), outline="red", width=wide)
            if (right - left) * (bottom - top) < 4 * wide:
                draw.line((left - 6 * wide, top, left + 6 * wide, top), fill="red", width=wide)
                draw.line((left, top - 6 * wide, left, top + 6 * wide), fill="red", width=wide)
    return np.asarray(picture)
