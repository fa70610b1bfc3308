# SPDX-License-Identifier: Apache-2.0
"""The exit codes of every command.

0 all is well; 1 a fatal error; 2 wrong usage; 3 finished, but some recordings failed; 130
interrupted.
"""

from __future__ import annotations

__all__ = ["EXIT_FAILED_FILES", "EXIT_FATAL", "EXIT_INTERRUPTED", "EXIT_OK", "EXIT_USAGE"]

EXIT_OK, EXIT_FATAL, EXIT_USAGE, EXIT_FAILED_FILES, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
