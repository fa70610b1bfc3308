# SPDX-License-Identifier: Apache-2.0
"""Windows of an archive to be reviewed: some of every score, so that all can be counted.

Most windows hold nothing, and where a sound is rare nearly all that do score high. So the strata
are halves: the lower half of the scores, of the others the lower half, and so on; as many are drawn
from each, and what is found in them can be said of all (`oido.evaluation.prevalence`).
"""

from __future__ import annotations

import numpy as np

from oido.arrays import I64
from oido.errors import OptionError
from oido.evaluation.prevalence import halves_of
from oido.messages import tr
from oido.models.tflite.taught_head import TaughtHead
from oido.results.clip_files import Choice, ClipSource
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.results.tallies import site_of
from oido.results.window_scores import score_windows


def chosen_windows(
    results: Results,
    label: str,
    count: int,
    choice: Choice = "top",
    *,
    head: TaughtHead | None = None,
    where: str | None = None,
    site: str | None = None,
    seed: int = 0,
) -> list[ClipSource]:
    """Windows as `oido.results.clip_files.chosen_events` has events, best first.

    head: a taught one, whose scores of the stored embeddings are meant; None: the archive's own
    scores. Stratified: as many from each of `halves_of`. Raises OptionError.
    """
    if count < 1:
        raise OptionError(tr("--count is 1 clip or more, not {count}", count=count))
    terms = [f"{site_of(results, site)} AS site"]
    if "start_at" in results.columns("windows" if head is None else "embeddings"):
        terms.append("start_at")
    windows = score_windows(results, label, head, terms, where)
    strata = halves_of(windows.scores) if choice == "stratified" else np.zeros(len(windows.scores))
    strata = strata.astype(np.int64)
    if choice == "top":
        chosen = np.argsort(-windows.scores, kind="stable")[:count]
    else:
        chosen = _in_turn(strata, count, seed)
    all_of, chosen_of = np.bincount(strata), np.bincount(strata[chosen])
    facts = _recordings(results, {windows.columns["file"][n] for n in chosen})
    found = []
    for n in sorted(chosen.tolist(), key=lambda n: -windows.scores[n]):
        row = {name: values[n] for name, values in windows.columns.items()}
        location, duration = facts.get(row["file"], (None, None))
        stratum = int(strata[n])
        found.append(
            ClipSource(
                row["file"],
                row["channel"],
                row["start_time"],
                row["end_time"],
                windows.label,
                float(windows.scores[n]),
                location or row["file"],
                duration or 0.0,
                row.get("start_at"),
                row["site"] or "",
                choice,
                stratum + 1 if choice == "stratified" else None,
                float(all_of[stratum] / chosen_of[stratum]) if choice != "top" else 1.0,
            )
        )
    return found


def _in_turn(strata: I64, count: int, seed: int) -> I64:
    """From the strata in turn, the highest first, and in each by chance."""
    random = np.random.default_rng(seed)
    queues = [
        random.permutation(np.flatnonzero(strata == stratum))[:count].tolist()
        for stratum in np.unique(strata)[::-1]
    ]
    found = [
        queue[turn]
        for turn in range(max(map(len, queues)))
        for queue in queues
        if turn < len(queue)
    ]
    return np.array(found[:count], np.int64)


def _recordings(results: Results, files: set[str]) -> dict[str, tuple[str | None, float | None]]:
    names = ", ".join(map(quoted, sorted(files)))
    rows = results.sql(
        "SELECT file, any_value(location) AS location, any_value(duration) AS duration "
        f"FROM recordings WHERE file IN ({names}) GROUP BY file"
    ).to_pylist()
    return {row["file"]: (row["location"], row["duration"]) for row in rows}
