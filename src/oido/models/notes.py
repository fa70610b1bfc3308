# SPDX-License-Identifier: Apache-2.0
"""What only oido writes into a model and reads from it: ``oido.json``, a packed file.

Other programs pass over it; what they need is in the metadata proper.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from oido.errors import ModelFormatError

__all__ = ["NOTES_FILE", "Notes", "Novelty"]

NOTES_FILE = "oido.json"
_VERSION = 1


@dataclass(frozen=True)
class Novelty:
    """An output that tells how near a window is to the nearest class that was taught, -1..1.

    output: its name. threshold: a clip below it is of no such class.
    """

    output: str
    threshold: float


@dataclass(frozen=True)
class Notes:
    """aggregations: by head. hop_samples, repeat_pause_samples: as `oido.params.WindowParams`;
    None is what follows from the file. training: facts of how it was taught, for readers."""

    aggregations: dict[str, str] = field(default_factory=dict)
    hop_samples: int | None = None
    repeat_pause_samples: int | None = None
    novelty: Novelty | None = None
    training: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The file; the same notes give the same bytes."""
        return json.dumps({"version": _VERSION, **asdict(self)}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def parse(cls, content: bytes) -> Notes:
        """Raises ModelFormatError for anything that `text` does not write."""
        try:
            values = json.loads(content)
            if values.pop("version") != _VERSION:
                raise ModelFormatError(f"{NOTES_FILE} is of a newer oido; update oido")
            novelty = values.pop("novelty")
            notes = cls(**values, novelty=None if novelty is None else Novelty(**novelty))
            notes._check()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelFormatError(f"{NOTES_FILE} in the model is damaged ({error})") from error
        return notes

    def _check(self) -> None:
        if not all(isinstance(v, str) for v in self.aggregations.values()):
            raise ValueError("aggregations")
        for value in (self.hop_samples, self.repeat_pause_samples):
            if value is not None and not (isinstance(value, int) and 0 < value < 1 << 31):
                raise ValueError(f"samples {value!r}")
        if self.novelty is not None and not (
            isinstance(self.novelty.output, str) and -1.0 <= self.novelty.threshold <= 1.0
        ):
            raise ValueError("novelty")
