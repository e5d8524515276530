"""The page of an explanation: a stage, a channel and an image are chosen by a click or by keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svertka.commands.explain.study import Study
from svertka.exhibits import Choice, Exhibit, Facts, Listing, Option, Picture
from svertka.report.page import Section, write_report
from svertka.wording import counted, inflected


def write_page(path: Path, study: Study, model: Path) -> None:
    """Write the page.

    Raises:
        UserError: It cannot be written.
    """
    sections: list[Section] = []
    images = _images(study)
    sections.append(Section(name="Images", exhibits=[images]))
    if study.channel_pictures:
        sections.append(Section(name="Stages and channels", exhibits=[_stages(study)]))
    sections += study.sections
    sections.append(Section(name="Details", exhibits=_details(study, model)))
    card = study.subject.card
    write_report(
        path,
        title=f"{model.name} · {card.net}, explained",
        lead=f"What {card.net} has learnt, and what it goes by in {counted(len(study.shown), 'image')}.",
        headline=[
            (inflected(len(card.classes), "class"), f"{len(card.classes):,}"),
            (inflected(len(study.subject.stages), "stage"), f"{len(study.subject.stages)}"),
            (inflected(len(study.material), "image run", "images run"), f"{len(study.material):,}"),
        ],
        sections=sections,
    )


def _images(study: Study) -> Choice:
    options = []
    names = _told_apart([study.material.names[int(place)] for place in study.shown])
    for number, image in enumerate(study.pictures):
        place = int(study.shown[number])
        group = study.material.group(place)
        explained = study.subject.card.classes[int(study.target.classes[number])]
        said = study.results[number].line()
        shown = [Picture(image=image, caption="as the network sees it", detail=said)]
        if (drawn := study.drawn(number)) is not None:
            shown.append(Picture(image=drawn, caption=study.subject.drawn_as))
        inner = [Option(name=f"What “{explained}” goes by", pictures=[*shown, *study.image_pictures[number]])]
        if study.map_pictures[number]:
            inner.append(Option(name="Maps along the network", pictures=study.map_pictures[number]))
        options.append(
            Option(
                name=names[number],
                detail=f"It says {said}." + (f" In the data set: {group}." if group else ""),
                thumbnail=image,
                label=f"what is shown of {names[number]}",
                options=inner,
            )
        )
    notes = [f"Class activation maps are those of {study.layer}."] if "grad_cam" in study.found else []
    note = " ".join([*notes, study.subject.note]).strip()
    return Choice(title="What it goes by", label="image", options=options, note=note)


def _told_apart(names: list[str]) -> list[str]:
    """File names without the folders that all of them share: buttons have little room, and what differs stands last."""
    parts = [Path(name).parts for name in names]
    shared = 0
    while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
        shared += 1
    return ["/".join(part[shared:]) for part in parts]


def _stages(study: Study) -> Choice:
    options = []
    for stage in study.stages:
        pictures = study.channel_pictures.get(stage, {})
        if not pictures:
            continue
        sizes = [axis.size for axis in study.fields[stage]]
        sees = "all of the image" if np.isinf(max(sizes)) else f"{sizes[0]:.0f}×{sizes[1]:.0f} pixels"
        channels = [
            Option(name=str(channel), thumbnail=_thumbnail(shown[0]), pictures=shown)
            for channel, shown in pictures.items()
        ]
        count = len(study.pass_over_all[0][stage].values)
        detail = f"{counted(count, 'channel')}, each unit of which sees {sees}."
        options.append(Option(name=stage, detail=detail, label=f"channel of {stage}", options=channels))
    return Choice(
        title="What excites its channels",
        label="stage",
        options=options,
        note=f"Of {counted(len(study.material), 'image')}, the nine places that excite a channel most, one "
        "an image at most, "
        "cut to just what the unit sees. Shown are the channels that few images excite far more than most, or those "
        "that were asked for. Projected back: what of each place made the unit active, by a deconvolutional network.",
    )


def _thumbnail(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    # Of a sheet of three by three, the first.
    height, width = picture.image.shape[:2]
    return picture.image[: max(1, height // 3), : max(1, width // 3)]


def _details(study: Study, model: Path) -> list[Exhibit]:
    material = study.material
    facts = [
        ("Model", str(model)),
        ("Network", study.subject.card.net),
        ("Stage of class activation maps and embedding", study.layer),
        ("Images", f"{len(material):,}"),
    ]
    if material.part:
        facts.append(("Examples and scores from", f"the part {material.part}"))
    if material.skipped:
        facts.append(("Left out", f"{len(material.skipped):,}"))
    exhibits: list[Exhibit] = [Facts(title="What was explained", items=facts)]
    if study.notes:
        exhibits.append(Listing(title="What could not be done", text="\n".join(study.notes)))
    return exhibits
