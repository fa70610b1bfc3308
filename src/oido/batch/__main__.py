# SPDX-License-Identifier: Apache-2.0
"""``python -m oido.batch`` is a worker process of the local engine; not meant to be run by hand."""

import sys

from oido.batch.worker import main

sys.exit(main())
