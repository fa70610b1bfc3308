# SPDX-License-Identifier: Apache-2.0
"""What an archive run left, read back: tables, a report, other formats."""

from __future__ import annotations

from oido.results.clock import Clock, Reading
from oido.results.results import Results

__all__ = ["Clock", "Reading", "Results"]
