"""Class names and how often they occur."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from svertka.annotations import Boxes, Mask, names_in, natural
from svertka.data.checks.findings import Finding
from svertka.data.checks.survey import Survey
from svertka.wording import counted, inflected, some

_IMBALANCE, _BADLY = 10.0, 100.0  # times as many of the most frequent class
_FEW = 5  # samples of a class
_LONG = 5  # letters from which on a letter of difference is more likely a slip than another word

# Letters of other alphabets that look like Latin ones, as Unicode Technical Standard 39 calls confusable.
_LOOKALIKES = str.maketrans(
    {
        foreign: latin
        for latin, letters in {
            "a": "аαɑ", "b": "вβ", "c": "с", "d": "ԁ", "e": "еε", "g": "ɡ", "h": "һ", "i": "іι", "j": "ј", "k": "кκ",
            "m": "м", "n": "ηп", "o": "оο", "p": "рρ", "s": "ѕ", "t": "тτ", "u": "υ", "v": "ν", "x": "хχ", "y": "уγ",
            "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ", "N": "Ν",
            "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "УΥ", "Z": "Ζ",
        }.items()
        for foreign in letters
    }
)  # fmt: skip


def imbalance(survey: Survey) -> Iterator[Finding]:
    """``class_imbalance`` and ``rare_classes``, among the samples to learn from."""
    counts = _counts(survey).get("train") or _counts(survey).get("all") or Counter()
    if len(counts) < 2:
        return
    (most, many), (least, few) = counts.most_common(1)[0], min(counts.items(), key=lambda item: item[1])
    boxed = any(isinstance(sample.annotation, Boxes) for sample in survey.samples)
    if many >= _IMBALANCE * few:
        yield Finding(
            kind="class_imbalance",
            severity="warning",
            message=f"{most!r} is {many / few:,.0f} times as frequent as {least!r} ({many:,} to {few:,})",
            mend="judge every class by itself" if boxed else "judge by macro F1, and train with --balance weights",
            count=sum(many >= _IMBALANCE * count for count in counts.values()),
            files=[f"{name}: {count:,}" for name, count in counts.most_common()],
        )
    noun = inflected(2, survey.dataset.media)
    rare = {name: count for name, count in counts.items() if count < _FEW}
    if rare and many >= 2 * _FEW:
        yield Finding(
            kind="rare_classes",
            severity="warning",
            message=f"{counted(len(rare), 'class has', 'classes have')} fewer than {_FEW} {noun}, such as "
            f"{min(rare, key=rare.__getitem__)!r}",
            mend=f"add {noun} of them, or leave them out: no figure about them will mean much",
            count=len(rare),
            files=[f"{name}: {count:,}" for name, count in sorted(rare.items(), key=lambda item: natural(item[0]))],
        )


def missing_classes(survey: Survey) -> Iterator[Finding]:
    """``classes_missing_from_split``: in one part and not in another."""
    counts = _counts(survey)
    if len(counts) < 2:
        return
    everything = sorted({name for part in counts.values() for name in part}, key=natural)
    for part, there in counts.items():
        missing = [name for name in everything if name not in there]
        if missing:
            yield Finding(
                kind="classes_missing_from_split",
                severity="error" if part == "train" else "warning",
                message=f"{part} lacks {len(missing):,} of {counted(len(everything), 'class')}: {some(missing)}",
                mend="divide anew, class by class"
                + (": what is not learnt cannot be told" if part == "train" else ": nothing is measured of them"),
                count=len(missing),
                files=[f"{part}: {name}" for name in missing],
            )


def similar_labels(survey: Survey) -> Iterator[Finding]:
    """``similar_labels``: names that differ in case, spaces, signs, look-alike letters or a single letter."""
    counts = Counter(name for part in _counts(survey).values() for name in part.elements())
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts, key=natural):
        groups[_spelt_alike(name)].append(name)
    same = [names for names in groups.values() if len(names) > 1]
    chosen = [(plain, names[0]) for plain, names in groups.items()]
    slips = [
        [one, other]
        for number, (plain, one) in enumerate(chosen)
        for other_plain, other in chosen[number + 1 :]
        if _one_letter_apart(plain, other_plain)
        and min(counts[one], counts[other]) * 4 <= max(counts[one], counts[other])
    ]
    for found, severity, how in ((same, "error", "written in several ways"), (slips, "warning", "a letter apart")):
        if found:
            best = {name: max(names, key=lambda name: counts[name]) for names in found for name in names}
            yield Finding(
                kind="similar_labels",
                severity="error" if severity == "error" else "warning",
                message=f"labels {how}: {some([' / '.join(map(repr, names)) for names in found])}",
                mend="give one class one name",
                count=len(found),
                files=[f"{name}: {counts[name]:,}" for names in found for name in names],
                groups=found,
                rename={name: to for name, to in best.items() if name != to} if severity == "error" else {},
            )


def _counts(survey: Survey) -> Mapping[str, Counter[str]]:
    # Of masks it is not known without reading them which classes occur.
    counts: dict[str, Counter[str]] = {part: Counter() for part in survey.part_names}
    for position in survey.usable.tolist():
        annotation = survey.samples[position].annotation
        if not isinstance(annotation, Mask):
            counts[survey.parts[position]].update(names_in(annotation))
    return counts


def _spelt_alike(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).translate(_LOOKALIKES).casefold()
    return re.sub(r"[\W_]+", "", plain) or plain


def _one_letter_apart(one: str, other: str) -> bool:
    if one == other or min(len(one), len(other)) < _LONG or any(letter.isdigit() for letter in one + other):
        return False
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((place for place, letter in enumerate(short) if letter != long[place]), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return swapped or short[at + 1 :] == long[at + 1 :]
