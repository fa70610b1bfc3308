# SPDX-License-Identifier: Apache-2.0
"""The run manifest: what was asked, with which model, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from oido._version import __version__
from oido.batch.plan import FileSummary, Plan
from oido.writers import AtomicFile

__all__ = ["manifest", "write_manifest"]

_VERSION = 1


def manifest(
    plan: Plan,
    *,
    model_name: str,
    model_sha256: str,
    inputs: Sequence[str],
    summaries: Sequence[FileSummary],
    outputs: Sequence[Path],
    interrupted: bool,
) -> dict[str, Any]:
    """The manifest as plain values."""
    failures = [s for s in summaries if s.failure is not None]
    return {
        "manifest_version": _VERSION,
        "oido_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": {"name": model_name, "sha256": model_sha256},
        "scores": "raw model outputs, 0..1; not probabilities",
        "parameters": plan.parameters(),
        "inputs": list(inputs),
        "outputs": [path.name for path in outputs],
        "interrupted": interrupted,
        "counts": {
            "recordings": len(inputs),
            "heard": len(summaries) - len(failures),
            "failed": len(failures),
            "not_reached": len(inputs) - len(summaries),
            "windows": sum(s.windows for s in summaries),
            "rows": sum(s.rows for s in summaries),
            "audio_seconds": round(sum(s.duration for s in summaries), 3),
        },
        "recordings": [
            {key: value for key, value in asdict(s).items() if value is not None} for s in summaries
        ],
    }


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """Write it, whole or not at all."""
    file = AtomicFile(path)
    with file.guard():
        json.dump(content, file.stream, ensure_ascii=False, indent=1)
        file.stream.write("\n")
    file.commit()
