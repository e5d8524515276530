"""What is found wrong with series, such as logs of sensors: copies, classes, lengths, channels that never change."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from svertka.data.cache.series import SeriesValues
from svertka.data.checks.classes import imbalance, missing_classes, similar_labels
from svertka.data.checks.duplicates import duplicates
from svertka.data.checks.findings import SEVERITIES, Finding
from svertka.data.checks.leaks import groups
from svertka.data.checks.quick import survey_of
from svertka.data.checks.survey import Survey
from svertka.data.preparing import Prepared
from svertka.wording import counted, inflected, some

_FAR = 2.0  # times as long as what the network takes, or as short
_MANY = 0.1  # of the series, from which on that is a warning
_AT_ONCE = 64  # series that are in memory

_OF_ANY = (duplicates, groups, missing_classes, similar_labels, imbalance)
"""The checks of images that go by digests and labels alone."""


def findings_of_series(prepared: Prepared, values: SeriesValues) -> list[Finding]:
    """All that is found in series as they are divided now, errors first; it reads them once.

    Args:
        prepared: The data set.
        values: Its series, with the length that the network takes.
    """
    survey = survey_of(prepared)
    found = [
        *itertools.chain.from_iterable(check(survey) for check in _OF_ANY),
        *unusual_lengths(survey, values),
        *constant_channels(survey, values),
    ]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def unusual_lengths(survey: Survey, values: SeriesValues) -> Iterator[Finding]:
    """``unusual_lengths``: much longer or shorter than what the network takes, so cut, or filled up for the most."""
    length = values.transform.length
    lengths = {position: values.sizes[position][0] for position in survey.usable.tolist()}
    long = [position for position, own in lengths.items() if own > _FAR * length]
    short = [position for position, own in lengths.items() if own * _FAR < length]
    if not long and not short:
        return
    told = [
        f"of {counted(len(positions), 'series')} {how}"
        for positions, how in (
            (long, "more than half is cut off"),
            (short, "more than half of the input is filled up with means"),
        )
        if positions
    ]
    odd = sorted(long + short)
    yield Finding(
        kind="unusual_lengths",
        severity="warning" if len(odd) >= _MANY * len(lengths) else "note",
        message=f"series have {min(lengths.values()):,} to {counted(max(lengths.values()), 'point')} in time, "
        f"and the network takes {length:,}: {' and '.join(told)}",
        mend="cut long ones into several files, and leave out what is too short to tell",
        count=len(odd),
        files=[f"{survey.samples[position].name}: {lengths[position]:,}" for position in odd],
    )


def constant_channels(survey: Survey, values: SeriesValues) -> Iterator[Finding]:
    """``constant_channels``, which tell nothing, and ``flat_series``, in which no channel ever changes."""
    low = np.full(values.transform.channels, np.inf)
    high, flat = -low, []
    for start in range(0, len(survey.usable), _AT_ONCE):
        positions = survey.usable[start : start + _AT_ONCE]
        for position, series in zip(positions.tolist(), values.each(positions), strict=True):
            least, most = series.min(axis=0), series.max(axis=0)
            low, high = np.minimum(low, least), np.maximum(high, most)
            if len(series) > 1 and (least == most).all():
                flat.append(position)
    constant = np.flatnonzero(low == high).tolist()
    if constant:
        names = values.transform.names
        told = [names[channel] if names else f"channel {channel + 1}" for channel in constant]
        yield Finding(
            kind="constant_channels",
            severity="warning",
            message=f"{counted(len(told), 'channel has', 'channels have')} one value in all series: {some(told)}",
            mend=f"leave {inflected(len(told), 'it', 'them')} out, or look why nothing was measured",
            count=len(told),
            files=told,
        )
    if flat and len(constant) < len(low):
        yield Finding(
            kind="flat_series",
            severity="warning",
            message=f"{counted(len(flat), 'series')} in which no channel ever changes: {some(survey.names(flat))}",
            mend="leave them out, unless nothing happening is what a class is about",
            count=len(flat),
            files=survey.names(flat),
            leave_out=survey.names(flat),
        )
