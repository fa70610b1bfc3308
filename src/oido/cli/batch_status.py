# SPDX-License-Identifier: Apache-2.0
"""``oido batch status``: how far an archive is."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["show_status"]


def show_status(url: str, as_json: bool = False) -> int:
    """Print it; 0 if all is well, 3 if recordings failed."""
    from oido.batch.status import status_of
    from oido.cli.main import EXIT_FAILED_FILES, EXIT_OK

    status = status_of(url)
    if as_json:
        print(json.dumps(status, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(status)))
    return EXIT_FAILED_FILES if status["failed"] else EXIT_OK


def _lines(status: dict[str, Any]) -> list[str]:
    rows = ", ".join(f"{n} {table}" for table, n in status["rows"].items())
    lines = [
        f"{status['folder']}  {status['model']}, last written {status['last_commit']}",
        f"done     {status['done']} recordings, {status['audio_seconds'] / 3600:.2f} h",
        f"failed   {status['failed']}",
        f"left     {status['left']}",
        f"rows     {rows}",
    ]
    if status["times_real_time"] is not None:
        lines.append(
            f"speed    {status['times_real_time']:.0f} × real time, "
            f"{status['files_per_hour']:.0f} files/h"
        )
    if status["eta_seconds"] is not None:
        lines.append(f"ETA      {_clock(status['eta_seconds'])}")
    for recording in status["under_way"]:
        lines.append(f"split    {recording['file']}: {recording['heard']} of {recording['of']}")
    if status["failures"]:
        width = max(len(failure["kind"]) for failure in status["failures"])
        lines += ["", "failed recordings:"]
        lines += [f"  {f['kind']:<{width}}  {f['reason']}" for f in status["failures"]]
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
