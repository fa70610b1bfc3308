# SPDX-License-Identifier: Apache-2.0
"""What a count says: in sentences, and as one HTML page with every figure and its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from oido.evaluation.bootstrap import Estimate
from oido.messages import joined, tr
from oido.models.labels import label_text
from oido.results.counting import EventCount, left_out_text
from oido.writers.html import render

_LISTED = 4
_MOST_ROWS = 400
_MOST_IN_A_PLOT = 60
_KEYS = {
    "site": tr("site"),
    "day": tr("day"),
    "night": tr("night"),
    "hour": tr("hour"),
    "file": tr("file"),
}


def count_sentences(count: EventCount) -> Iterator[str]:
    """How many are true, from how many reviews, and in how many groups."""
    counted, total, share = count.counted, count.counted.total, count.counted.share
    facts: dict[str, Any] = {"label": label_text(count.label), "value": total.value, "n": counted.n}
    facts |= {"low": total.low, "high": total.high}
    facts |= {"share_low": share.low, "share_high": share.high}
    if count.unit == "windows":
        yield tr(
            "{label}: {value:.0f} of {n} windows hold it ({low:.0f} to {high:.0f}, "
            "95 %; {share_low:.2%} to {share_high:.2%})",
            **facts,
        )
    elif counted.n == 1:
        yield tr(
            "{label}: {value:.0f} of 1 event is true ({low:.0f} to {high:.0f}, "
            "95 %; {share_low:.0%} to {share_high:.0%})",
            **{name: value for name, value in facts.items() if name != "n"},
        )
    else:
        yield tr(
            "{label}: {value:.0f} of {n} events are true ({low:.0f} to {high:.0f}, "
            "95 %; {share_low:.0%} to {share_high:.0%})",
            **facts,
        )
    more = counted.more_reviews
    reviews = (
        tr("all of them were reviewed")
        if counted.reviewed == counted.n
        else tr("from 1 review; {more_reviews} more would about halve that", more_reviews=more)
        if counted.reviewed == 1
        else tr(
            "from {reviewed} reviews; {more_reviews} more would about halve that",
            reviewed=counted.reviewed,
            more_reviews=more,
        )
    )
    yield reviews + (
        tr("; of {unsure} nobody was sure", unsure=count.unsure) if count.unsure else ""
    )
    if len(counted.groups) > 1:
        what = by_text(count, tr(" and "))
        if count.unit == "windows":
            # A little is left to each of many low windows: how many groups have one is not known.
            yield tr(
                "by {what}: of {n_groups}, {confirmed} have a reviewed window that holds it",
                n_groups=len(counted.groups),
                what=what,
                confirmed=count.confirmed,
            )
        else:
            occupied = counted.occupied
            yield tr(
                "by {what}: of {n_groups} with events, {value:.0f} have true ones "
                "({low:.0f} to {high:.0f})",
                n_groups=len(counted.groups),
                what=what,
                value=occupied.value,
                low=occupied.low,
                high=occupied.high,
            )


def by_text(count: EventCount, between: str = ", ") -> str:
    """By what it was counted: the words for its keys."""
    return joined(between, [_KEYS[key] for key in count.keys])


def group_name(key: Sequence[Any]) -> str:
    """What a group is called."""
    return ", ".join(tr("unknown") if part is None else str(part) for part in key)


def count_warnings(count: EventCount) -> Iterator[str]:
    """What was left out, and which groups the sample does not speak for, and why."""
    if count.left_out:
        yield left_out_text(count.left_out)
    if count.gone:
        yield tr(
            "left out: {number} reviews of places that are not in the archive any more, which was "
            "heard again or has lost them",
            number=count.gone,
        )
    if count.copies:
        yield tr(
            "recordings of the archive that repeat others, and count again: {copies}; "
            "`oido report` names some: leave them out with --where, here and in `oido clips`",
            copies=count.copies,
        )
    if not count.recorded_hours:
        yield tr(
            "no rates: how many hours were recorded where the condition is true is not known; "
            "counted by hour or by site, without a condition, each has its rate"
        )
    for key in count.counted.apart:
        yield tr(
            "{name}: its reviews differ from the others' at the same scores; review more of it",
            name=group_name(key),
        )
    for site in count.unlike:
        yield tr(
            "{site}: sounds unlike what was reviewed at other sites, so that the sample does not "
            "speak for it; review more of it",
            site=site,
        )
    if count.unreviewed and len(count.counted.groups) > 1:
        names = "; ".join(map(group_name, count.unreviewed[:_LISTED]))
        further = len(count.unreviewed) - _LISTED
        more = tr(" and {n_unreviewed} more", n_unreviewed=further) if further > 0 else ""
        if count.unit == "windows":
            yield tr(
                "no window was reviewed of {names}{more}: their numbers rest on the others",
                names=names,
                more=more,
            )
        else:
            yield tr(
                "no event was reviewed of {names}{more}: their numbers rest on the others",
                names=names,
                more=more,
            )


class _Mark(NamedTuple):
    """A figure in a plot: its name, and where its value and interval are, 0 to 100."""

    name: str
    text: str
    low: float
    value: float
    high: float


class _Plot(NamedTuple):
    title: str
    most: str
    marks: list[_Mark]


def count_page(count: EventCount, folder: str, by_key: Sequence[EventCount] = ()) -> str:
    """The page. by_key: further counts, by other keys, each with its plots and table. Raises
    MissingExtraError without Jinja2."""
    return render(
        "count.html",
        "archive",
        title=tr("{label}, counted in {folder}", label=label_text(count.label), folder=folder),
        sentences=list(count_sentences(count)),
        warnings=list(count_warnings(count)),
        counts=[(each, list(_plots(each)), _table(each)) for each in (count, *by_key)],
        by_text=by_text,
    )


def _plots(count: EventCount) -> Iterator[_Plot]:
    """Share, and rate where hours are known, of each group."""
    groups = list(count.counted.groups.items())[:_MOST_IN_A_PLOT]
    if not count.keys or not groups:
        return
    shares = [(key, _divided(each, count.events[key])) for key, each in groups]
    title = tr("Share of events that are true")
    if count.unit == "windows":
        title = tr("Share of windows that hold it")
    yield _plot(title, shares, "{:.1%}")
    hours = count.recorded_hours
    rates = [(key, _divided(each, hours[key])) for key, each in groups if hours.get(key)]
    if rates:
        title = tr("True events per recorded hour")
        if count.unit == "windows":
            title = tr("Windows that hold it per recorded hour")
        yield _plot(title, rates, "{:.2f}")


def _plot(title: str, figures: Sequence[tuple[Any, Estimate]], form: str) -> _Plot:
    most = max(each.high for _, each in figures) or 1.0
    marks = [
        _Mark(
            group_name(key), _text(each, form), *(100 * min(v / most, 1.0) for v in _in_order(each))
        )
        for key, each in figures
    ]
    return _Plot(title, form.format(most), marks)


def _in_order(each: Estimate) -> tuple[float, float, float]:
    return each.low, each.value, each.high


def _divided(each: Estimate, by: float) -> Estimate:
    return Estimate(*(value / by for value in each))


def _text(each: Estimate, form: str) -> str:
    value, low, high = (form.format(number) for number in each)
    return tr("{value} ({low} to {high})", value=value, low=low, high=high)


def _table(count: EventCount) -> tuple[list[str], list[list[str]]]:
    """Heads and rows, each figure with its interval."""
    of_all = tr("windows") if count.unit == "windows" else tr("events")
    true = tr("hold it") if count.unit == "windows" else tr("are true")
    heads = [by_text(count), of_all, true, tr("share"), tr("recorded hours"), tr("per hour")]
    rows = []
    groups: list[tuple[str, int, Estimate, float | None]] = [
        (group_name(key), count.events[key], each, count.recorded_hours.get(key))
        for key, each in list(count.counted.groups.items())[:_MOST_ROWS]
    ]
    everything = (tr("all"), count.counted.n, count.counted.total, count.recorded_hours.get(()))
    for name, n, each, hours in [*groups, everything]:
        row = [name, str(n), _text(each, "{:.0f}"), _text(_divided(each, n), "{:.2%}")]
        row.append("–" if hours is None else f"{hours:.2f}")
        row.append(_text(_divided(each, hours), "{:.2f}") if hours else "–")
        rows.append(row)
    return heads, rows
