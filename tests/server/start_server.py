# SPDX-License-Identifier: Apache-2.0
"""A server as `oido serve` makes it, with limits that tests can meet: JSON settings as argument."""

import json
import sys

from oido.server.app import create_app
from oido.server.serve import serve
from oido.server.settings import Limits, Settings

given = json.loads(sys.argv[1])
limits = Limits(**given.pop("limits", {}))
settings = Settings(port=0, limits=limits, **given)
serve(create_app(settings), settings, lambda address: print(address, flush=True))
