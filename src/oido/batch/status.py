# SPDX-License-Identifier: Apache-2.0
"""How far an archive is, by its ledger alone: it may be asked while a run is writing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from oido.batch.ledger import ResultsFolder, read_folder

__all__ = ["status_of"]


def status_of(url: str) -> dict[str, Any]:
    """Counts, failures, speed and the time that is left, as plain values.

    done, failed, left: recordings; left counts those that the last run was given.
    audio_seconds: heard in all. speed: times real time, and recordings per hour, of the last run
    that has done something; eta_seconds: by bytes, None where nothing is left or nothing is known.
    Raises OptionError: not a results folder.
    """
    folder = read_folder(url)
    recordings = [e for e in folder.units.values() if e["state"] != "piece"]
    pieces = [e for e in folder.units.values() if e["state"] == "piece"]
    failed = [e for e in recordings if e["state"] == "failed"]
    status: dict[str, Any] = {
        "folder": folder.url,
        "created": folder.header["created"],
        "last_commit": folder.last_commit,
        "model": folder.header["model"]["name"],
        "runs": len(folder.runs),
        "recordings": folder.runs[-1]["recordings"] if folder.runs else len(recordings),
        "done": len(recordings) - len(failed),
        "failed": len(failed),
        "audio_seconds": round(sum(e["duration"] for e in recordings), 3),
        "windows": sum(e["windows"] for e in recordings),
        "rows": {
            table: sum(part.rows for part in folder.live if part.table == table)
            for table in folder.header["tables"]
        },
        "under_way": _under_way(pieces),
        "failures": [
            {"file": e["file"], "kind": e["failure"]["kind"], "reason": e["failure"]["reason"]}
            for e in failed
        ],
    }
    return {**status, **_speed(folder)}


def _under_way(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Long recordings of which some ranges are heard."""
    heard: dict[str, dict[str, Any]] = {}
    for entry in pieces:
        of = entry["range"][1]
        known = heard.setdefault(entry["location"], {"file": entry["file"], "heard": 0, "of": of})
        known["heard"] += 1
    return list(heard.values())


def _speed(folder: ResultsFolder) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "left": 0,
        "times_real_time": None,
        "files_per_hour": None,
        "eta_seconds": None,
    }
    if not folder.runs:
        return nothing
    run = folder.runs[-1]
    of_run = [
        e for e in folder.units.values() if e["state"] != "piece" and e["run"] == len(folder.runs)
    ]
    left = run["todo"] - len(of_run)
    seconds = (_moment(folder.last_commit) - _moment(run["created"])).total_seconds()
    if not of_run or seconds <= 0:
        return {**nothing, "left": left}
    n_bytes = sum(e["size"] for e in of_run)
    return {
        "left": left,
        "times_real_time": round(sum(e["duration"] for e in of_run) / seconds, 2),
        "files_per_hour": round(len(of_run) * 3600 / seconds, 1),
        "eta_seconds": round(seconds * (run["todo_bytes"] / n_bytes - 1), 1)
        if left and n_bytes
        else None,
    }


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
