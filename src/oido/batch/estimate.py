# SPDX-License-Identifier: Apache-2.0
"""How many hours of sound an archive has, and of work it takes, from a few of its recordings.

Lengths are not known before recordings are opened, so some are drawn, each with a chance in
proportion to its bytes, and a minute of each is classified twice: as the run does it, and with
windows that do not overlap. The mean of what they say of a byte holds for all bytes.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import mean
from typing import NamedTuple

from oido.batch.storage import is_remote
from oido.batch.units import Sample, Source
from oido.messages import tr

_LEAST_HOURS = 0.5
_SAMPLES = 8
_MOST_FETCHED_BYTES = 64 << 20
"""Of a remote recording that is fetched only to be measured."""


class WorkEstimate(NamedTuple):
    """Hours of sound and of work; other_hours: of work with windows that do not overlap, or, where
    the run has these, at the default hop; None: it would be the same. samples: it is of so many."""

    sound_hours: float
    hours: float
    other_hours: float | None
    samples: int


def drawn(sources: Sequence[Source]) -> list[Source]:
    """The recordings to measure; a large one may be there more than once."""
    known = [s for s in sources if not is_remote(s.location) or s.size <= _MOST_FETCHED_BYTES]
    ends = list(accumulate(source.size for source in known))
    if not ends or not ends[-1]:
        return []
    places = ((number + 0.5) * ends[-1] / _SAMPLES for number in range(_SAMPLES))
    return [known[bisect(ends, place)] for place in places]


def estimated(
    sources: Sequence[Source], samples: Mapping[str, Sample], workers: int
) -> WorkEstimate | None:
    """What the samples, by the recording's key, say of all sources; None: too little to tell, or
    so little work that nobody has to plan it."""
    measured = {key for key, sample in samples.items() if sample.duration and sample.seconds}
    found = [(s.size, samples[s.key]) for s in drawn(sources) if s.key in measured]
    if 2 * len(found) < _SAMPLES:
        return None
    size = sum(source.size for source in sources)
    sound = size * mean(sample.duration / size for size, sample in found)
    hours, others = (
        size * mean(s.duration / n * (s.seconds, s.other_seconds)[i] for n, s in found) / workers
        for i in (0, 1)
    )
    if hours < _LEAST_HOURS * 3600:
        return None
    return WorkEstimate(sound / 3600, hours / 3600, others / 3600 or None, len(measured))


def estimate_text(estimate: WorkEstimate, workers: int, *, is_fast: bool) -> str:
    """A sentence for people, with two digits that mean something."""
    kind = tr("workers") if workers > 1 else tr("worker")
    sound, work = _about(estimate.sound_hours), _about(estimate.hours)
    text = tr(
        "about {sound} h of sound, about {work} h of work for {workers} {kind}",
        sound=sound,
        work=work,
        workers=workers,
        kind=kind,
    )
    if estimate.other_hours is not None:
        way = tr("without --fast") if is_fast else tr("with --fast")
        text += tr(", {way} about {about} h", way=way, about=_about(estimate.other_hours))
    return tr(
        "{text} (from a minute of each of {samples} recordings)",
        text=text,
        samples=estimate.samples,
    )


def _about(hours: float) -> str:
    return f"{hours:.1f}" if hours < 10 else f"{float(f'{hours:.2g}'):,.0f}"
