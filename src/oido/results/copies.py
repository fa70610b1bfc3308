# SPDX-License-Identifier: Apache-2.0
"""Recordings that an archive holds twice: a card copied again, a folder renamed between two runs.

Their events count twice, and nothing else shows it. No recording is read for this: two are the same
where their files are of one size, their tags are the same, and every event and every label of the
clip has the very same score at the very same time. So only those with an event are known.
"""

from __future__ import annotations

from dataclasses import dataclass

from oido.results.results import Results

MOST_COPIES = 200


@dataclass(frozen=True)
class Copies:
    """How many recordings repeat another, and the events in them.

    files: of at most 200 of them, its name and that of the first one with this sound.
    """

    recordings: int = 0
    events: int = 0
    files: tuple[tuple[str, str], ...] = ()


_COPIES = """
    WITH heard AS (
        SELECT file, count(*) AS events,
            bit_xor(hash(channel, label_index, start_time, end_time, score)) AS sound
        FROM events GROUP BY file
    ),
    whole AS (
        SELECT file, bit_xor(hash(channel, label_index, score)) AS clip FROM clips GROUP BY file
    ),
    same AS (
        SELECT file, events, first_value(file) OVER (
            PARTITION BY size, tags, duration, channels, sample_rate, windows, rows, events, sound,
                clip ORDER BY file
        ) AS first
        FROM (SELECT * FROM recordings WHERE ({where}
        )) JOIN heard USING (file) LEFT JOIN whole USING (file)
    )
    SELECT file, first, count(*) OVER () AS recordings, sum(events) OVER () AS events
    FROM same WHERE file <> first ORDER BY file LIMIT {most}"""


def copies_in(results: Results, where: str = "true") -> Copies:
    """Those of an archive; where: a condition in SQL, which recordings are looked at."""
    rows = results.sql(_COPIES.format(where=where, most=MOST_COPIES)).to_pylist()
    if not rows:
        return Copies()
    files = tuple((row["file"], row["first"]) for row in rows)
    return Copies(int(rows[0]["recordings"]), int(rows[0]["events"]), files)
