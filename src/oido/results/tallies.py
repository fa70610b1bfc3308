# SPDX-License-Identifier: Apache-2.0
"""Recorded hours and events by file, site, hour of day, day and label, alone or combined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from oido.errors import OptionError
from oido.messages import tr
from oido.models.labels import nearest
from oido.models.registry import ENSEMBLE, ENSEMBLE_THRESHOLD, is_audioset
from oido.params import DEFAULT_THRESHOLD
from oido.results.clock import local_time
from oido.results.query_text import quoted
from oido.results.results import Results

KEYS = ("label", "file", "site", "day", "hour")

_BIN = 900
"""Seconds: the offsets of today's time zones are multiples of a quarter of an hour."""

_NAME = (
    r"CASE WHEN contains(file, '/') OR regexp_matches(file, '\\udc[0-9a-f][0-9a-f]') THEN file "
    r"ELSE replace(file, '\', '/') END"
)
"""The name with slashes: what was heard on Windows has backslashes, others an escaped byte."""


def read_keys(text: str | None) -> tuple[str, ...]:
    """Names such as ``site,day``, each once. Raises OptionError naming the nearest."""
    keys = tuple(dict.fromkeys(key.strip().lower() for key in (text or "").split(",")))
    for key in keys if text is not None else ():
        if key not in KEYS:
            near = nearest(key, KEYS)
            hint = (
                tr("did you mean {near}?", near=near[0])
                if near
                else tr("choose from {keys}", keys=", ".join(KEYS))
            )
            raise OptionError(tr("nothing is counted by {key!r}; {hint}", key=key, hint=hint))
    return keys if text is not None else ()


def tally(
    results: Results,
    by: Sequence[str],
    *,
    zone: str = "UTC",
    site: str | None = None,
    label: str | None = None,
) -> Any:
    """A ``pyarrow.Table`` with a row for each combination that was recorded, in its order.

    by: of ``KEYS``. zone: of days and hours; where a recording's time is not known, they are empty.
    site: a pattern (`site_of`). label: count its events only. Columns behind the keys: recordings
    of which something was heard, their hours, events, events per recorded hour, recordings with an
    event, seconds of events (added up over channels), the highest score or probability, and the
    threshold of events, where it is known. With ``label`` there are rows of labels that were heard
    only, and the hours are those of all recordings of the other keys. Raises OptionError.
    """
    value = results.value_column
    labels = [key for key in by if key == "label"]
    first = [f"{key} NULLS LAST" for key in by if key != "label"]
    return results.sql(
        f"""SELECT {", ".join(by)}, recordings, round(recorded / 3600, 6) AS recorded_hours, events,
            round(CASE WHEN recorded > 0 THEN events / recorded * 3600 END, 3) AS events_per_hour,
            files AS recordings_with_events, round(seconds, 3) AS event_seconds,
            CAST(highest AS FLOAT) AS highest_{value},
            {_threshold(results, bool(labels))} AS threshold
        FROM ({counted(results, by, zone=zone, site=site, label=label)})
        ORDER BY {", ".join([*first, "events DESC", *labels])}"""
    )


def counted(
    results: Results,
    by: Sequence[str],
    *,
    zone: str = "UTC",
    site: str | None = None,
    label: str | None = None,
) -> str:
    """SQL of the exact figures of a `tally`.

    Columns behind the keys: ``recordings``, ``recorded`` seconds, ``events``, ``files`` with an
    event, ``seconds`` of events, ``highest``.
    """
    value = results.value_column
    places = [key for key in by if key != "label"]
    place = ", ".join(["1 AS everything", *places])
    is_timed = {"day", "hour"} & {*by}
    where = site_of(results, site) if "site" in by else "NULL"
    parts = _parts(local_time("start_at", zone)) if is_timed else "NULL AS day, NULL AS hour"
    seen = f"""SELECT file, {where} AS site, label, {value} AS value,
        end_time - start_time AS seconds,
        {parts} FROM events
        {"" if label is None else f"WHERE label = {quoted(label)}"}"""
    which = "true" if "file" in by else "duration > 0"
    recorded = f"""SELECT file, {where} AS site, NULL AS day, NULL AS hour,
        coalesce(duration, 0) AS seconds FROM recordings WHERE {which}"""
    if is_timed:
        recorded = f"""{recorded} AND recorded_at IS NULL UNION ALL SELECT file, site,
            {_parts("moment")}, seconds FROM ({_stretches(zone, where)})"""
    labels = [key for key in by if key == "label"]
    keys = ", ".join(f"coalesce(e.{key}, r.{key}) AS {key}" if key in places else key for key in by)
    same = " AND ".join(f"e.{key} IS NOT DISTINCT FROM r.{key}" for key in ("everything", *places))
    return f"""WITH seen AS ({seen}), spans AS ({recorded}),
        e AS (SELECT {", ".join([place, *labels])}, count(*) AS events,
            count(DISTINCT file) AS files, sum(seconds) AS seconds, max(value) AS highest
            FROM seen GROUP BY ALL),
        r AS (SELECT {place}, count(DISTINCT file) AS recordings, sum(seconds) AS recorded
            FROM spans GROUP BY ALL)
        SELECT {keys}, coalesce(recordings, 0) AS recordings, coalesce(recorded, 0) AS recorded,
            coalesce(events, 0) AS events, coalesce(files, 0) AS files,
            coalesce(seconds, 0) AS seconds, highest
        FROM e {"LEFT" if labels else "FULL"} JOIN r ON {same}"""


LITTLE = tr("less than an hour, and less than a tenth of the longest, was recorded")


def is_little(seconds: float, most: float) -> bool:
    """Whether ``LITTLE`` is true of a stretch: too little for a rate. most: of all stretches."""
    return seconds < min(3600.0, most / 10)


def little_recorded(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> set[int]:
    """The rows of a `tally` with little recorded time, as `is_little` has it."""
    if not {"site", "day", "hour"} & {*by}:
        return set()
    seconds = [3600 * row["recorded_hours"] for row in rows]
    return {n for n, value in enumerate(seconds) if is_little(value, max(seconds))}


def _parts(moment: str) -> str:
    return f"CAST({moment} AS DATE) AS day, hour({moment}) AS hour"


def _stretches(zone: str, site: str = "NULL") -> str:
    """SQL of the recordings whose time is known, in stretches that lie in one hour each.

    Columns: ``file``, ``site``, ``moment``, when a stretch begins in local time, and its
    ``seconds``. site: in SQL.
    """
    return f"""SELECT file, site, {local_time(f"to_timestamp(bin * {_BIN})", zone)} AS moment,
            least(stop, (bin + 1) * {_BIN}) - greatest(start, bin * {_BIN}) AS seconds
        FROM (SELECT *, unnest(range(CAST(floor(start / {_BIN}) AS BIGINT),
                CAST(ceil(stop / {_BIN}) AS BIGINT))) AS bin
            FROM (SELECT file, {site} AS site, epoch(recorded_at) AS start,
                epoch(recorded_at) + duration AS stop
                FROM recordings WHERE recorded_at IS NOT NULL AND duration > 0))"""


def thresholds_of(results: Results) -> tuple[float | None, dict[str, float]]:
    """What the score (or probability) of an event had to reach: of all, and of some labels.

    None: the model's own, which are not known here, or else 0.2.
    """
    parameters = results.header.get("parameters") or {}
    detection, selection = (parameters.get(name) or {} for name in ("detection", "selection"))
    common = detection.get("threshold")
    common = selection.get("score_threshold") if common is None else common
    name = (results.header.get("model") or {}).get("name")
    if common is None and "calibration_sha256" not in parameters and is_audioset(str(name)):
        common = ENSEMBLE_THRESHOLD if name == ENSEMBLE else DEFAULT_THRESHOLD
    pairs = detection.get("thresholds") or ()
    return common, {results.label_here(label): float(value) for label, value in pairs}


def _threshold(results: Results, is_by_label: bool) -> str:
    common, of_labels = thresholds_of(results)
    value = "NULL" if common is None else repr(float(common))
    if not is_by_label or not of_labels:
        return f"CAST({value} AS DOUBLE)"
    each = " ".join(f"WHEN {quoted(name)} THEN {value!r}" for name, value in of_labels.items())
    return f"CAST(CASE label {each} ELSE {value} END AS DOUBLE)"


def site_of(results: Results, pattern: str | None = None) -> str:
    """SQL of the site of a ``file``; NULL where the pattern does not match.

    pattern: None takes the first folder below the one that all recordings share. A text with
    ``{site}`` is a name, or with a slash the end of a path, in which ``*`` is anything but a slash
    and ``?`` one such sign: ``{site}_*.wav``, ``{site}/*/*``. Any other is a regular expression,
    whose first group is the site, or all that it matches. Raises OptionError for one that makes no
    sense or matches no recording.
    """
    if pattern is None:
        folder = f"regexp_replace({_NAME}, '[^/]*$', '')"
        folders = results.sql(f"SELECT DISTINCT {folder} AS folder FROM recordings")["folder"]
        shared = _shared_folder(folders.to_pylist())
        below = f"substr({_NAME}, {len(shared) + 1})"
        alone = quoted(shared.strip("/").rpartition("/")[2] or ".")
        return f"CASE WHEN contains({below}, '/') THEN split_part({below}, '/', 1) ELSE {alone} END"
    expression = _expression(pattern) if "{site}" in pattern else pattern
    try:
        group = 1 if re.compile(expression).groups else 0
        sql = f"nullif(regexp_extract({_NAME}, {quoted(expression)}, {group}, 'i'), '')"
        found = results.sql(f"SELECT any_value(file) AS one, count({sql}) AS n FROM recordings")
    except (re.error, OptionError) as error:
        raise OptionError(
            tr("--site {pattern!r} is no pattern: {error}", pattern=pattern, error=error)
        ) from error
    (row,) = found.to_pylist()
    if row["one"] is not None and not row["n"]:
        raise OptionError(
            tr(
                "--site {pattern!r} matches none of the recordings, such as {one}; "
                "write it like '{{site}}_*.wav', or with a slash, like "
                "'{{site}}/*.wav'",
                pattern=pattern,
                one=row["one"],
            )
        )
    return sql


def _shared_folder(folders: Sequence[str]) -> str:
    """The longest path of whole folders that all of these begin with."""
    parts = [folder.split("/")[:-1] for folder in folders]
    shared = [level[0] for level in takewhile(lambda names: len({*names}) == 1, zip(*parts))]
    return "".join(f"{name}/" for name in shared)


def _expression(pattern: str) -> str:
    """A regular expression for the end of a path that a pattern with ``{site}`` describes."""
    before, *behind = (
        re.escape(text).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        for text in pattern.split("{site}")
    )
    if len(behind) != 1:
        raise OptionError(tr("--site {pattern!r} names the site more than once", pattern=pattern))
    return f"(?:^|/){before}([^/]+?){behind[0]}$"
