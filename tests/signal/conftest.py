# SPDX-License-Identifier: Apache-2.0
"""The front end with the real model's constants."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oido.models.model import AudioModel
from oido.runtime.litert import LiteRtRuntime
from oido.signal.frontend import FrontEnd


@pytest.fixture(scope="session")
def runtime(model: AudioModel) -> LiteRtRuntime:
    return LiteRtRuntime(model.network.graph.projection, model.network.graph.network)


@pytest.fixture(scope="session")
def make_front_end(model: AudioModel, runtime: LiteRtRuntime) -> Callable[[], FrontEnd]:
    graph = model.network.graph
    bins = (graph.first_bin, graph.last_bin)
    return lambda: FrontEnd(model.network.front_end, graph.window, bins, runtime.project)


@pytest.fixture(scope="session")
def front_end(make_front_end: Callable[[], FrontEnd]) -> FrontEnd:
    return make_front_end()
