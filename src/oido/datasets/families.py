# SPDX-License-Identifier: Apache-2.0
"""Which recordings were probably cut from one source, by names that differ only in their ends.

``rex-1``, ``rex-2``, ``rex_b`` and ``rex (1)`` are takes, pieces or copies of one recording far
more often than not; a split that divides them judges a model by what it has learnt. It is a guess:
it is made only where nothing better is known, it is said, and it never leaves a class with less
than `LEAST_SOURCES`: ``clip-1`` to ``clip-40`` are a numbering of sounds.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from oido.datasets.clip import BACKGROUND, Clip, Found, source_of
from oido.messages import tr

LEAST_SOURCES = 3
"""A class of fewer families is taken file by file: nothing could be held out of it, or hardly."""

_COPY = re.compile(
    r"(?:[\s_-]+(?:copy|copia|kopie|copie)(?:[\s_-]*\d{1,3})?|\s*\(\d{1,4}\))$", re.I
)
_DATE = re.compile(r"(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d(?:[-_T. h]*\d\d){0,3}s?$", re.I)
_INDEX = re.compile(
    r"(?:[\s_.-]+(?:(?:take|part|pt|piece|cut|clip|chunk|slice|seg|segment|v|no|nr|hit|ch)[\s_.-]*)?"
    r"#?\d{1,4}"  # x-1, x_002, x take 3, x_part1
    r"|(?<=[^\W\d_])\d{1,3}"  # x1, x02; not XC123456
    r"|[\s_.-]+(?:[a-z]|hard(?:est)?|soft(?:est)?|med(?:ium)?|loud|quiet|left|right))$",  # x_a
    re.I,
)


def family_of(source: str) -> str:
    """What the names of one source have in common: ``dog/rex`` of ``dog/rex-1`` and ``dog/rex_b``.

    source: as of `oido.datasets.clip.source_of`. Names that end in a date or time of day are their
    own, and so are bare numbers.
    """
    folder, slash, name = source.rpartition("/")
    stem = name
    while (shorter := _COPY.sub("", stem)) not in ("", stem):
        stem = shorter
    if not _DATE.search(stem):
        stem = _INDEX.sub("", stem) or stem
    return folder + slash + stem.casefold()


def join_families(found: Found, names: Iterable[str]) -> None:
    """Give clips of one family one group, in classes where enough sources are left, and note it.

    names: of the clips, in order, as paths below the dataset; those of which the name itself shows
    a source (`source_of`) keep it. Families do not reach beyond a fold: whoever chose folds knew.
    """
    parts: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, clip in enumerate(found.clips):
        parts[clip.labels, clip.negatives, clip.complete, clip.fold].append(number)
    families = [_family(clip, name) for clip, name in zip(found.clips, names)]
    joined: defaultdict[str, list[str]] = defaultdict(list)
    series: list[Clip] = []
    for numbers in parts.values():
        sizes = Counter(families[n] for n in numbers)
        if len(sizes) == len({found.clips[n].group for n in numbers}):
            continue
        if len(sizes) < LEAST_SOURCES:
            largest = sizes.most_common(1)[0][0]
            series.append(found.clips[next(n for n in numbers if families[n] == largest)])
            continue
        for n in numbers:
            if sizes[families[n]] > 1:
                joined[families[n]].append(_stem(found.clips[n]))
                found.clips[n] = replace(found.clips[n], group=families[n])
    if joined:
        found.guesses.append(_joined_note(sorted(joined.values(), key=len, reverse=True)))
    if series:
        found.guesses.append(_series_note(series))


def _family(clip: Clip, name: str) -> str:
    source = source_of(name)
    if source != posixpath.normpath(posixpath.splitext(name.replace("\\", "/"))[0]):
        return clip.group  # as of ESC-50, which says itself where it was cut
    family = family_of(source)
    return family if clip.fold is None else f"{clip.fold}: {family}"


def _stem(clip: Clip) -> str:
    return os.path.splitext(os.path.basename(clip.path))[0]


def _joined_note(families: list[list[str]]) -> str:
    shown = ", ".join(f"{names[0]} … ({len(names)})" for names in families[:3])
    more = tr(" and {n_families} more", n_families=len(families) - 3) if len(families) > 3 else ""
    sources = (
        tr("one source")
        if len(families) == 1
        else tr("{n_families} sources", n_families=len(families))
    )
    return tr(
        "by their names, {families} recordings are taken for parts of {sources}, "
        "{shown}{more}: no split divides them (--each-is-a-source takes each "
        "file for its own)",
        families=sum(map(len, families)),
        sources=sources,
        shown=shown,
        more=more,
    )


def _series_note(series: list[Clip]) -> str:
    names = sorted({", ".join(clip.labels) or BACKGROUND for clip in series})
    shown = ", ".join(map(repr, names[:3]))
    if len(names) > 3:
        shown += tr(" and {n_families} more", n_families=len(names) - 3)
    return tr(
        "the files of {shown} are numbered ({stem} …), and each is taken for a "
        "source of its own; if several are of one recording, a table with the "
        "column group can say which",
        shown=shown,
        stem=_stem(series[0]),
    )
