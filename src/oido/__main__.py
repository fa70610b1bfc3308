# SPDX-License-Identifier: Apache-2.0
"""``python -m oido`` is the ``oido`` command."""

import sys

from oido.cli.main import run

sys.exit(run())
