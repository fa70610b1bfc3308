# SPDX-License-Identifier: Apache-2.0
"""A server as `oido serve` makes it, with limits that tests can meet: JSON settings as argument."""

import json
import sys

from oido.server.app import create_app
from oido.server.limits import Limits, Settings
from oido.server.running import serve

given = json.loads(sys.argv[1])
limits = Limits(**given.pop("limits", {}))
settings = Settings(port=0, limits=limits, **given)
serve(create_app(settings), settings, lambda address: print(address, flush=True))
