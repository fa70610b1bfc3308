# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.results.results_folders import heard_archive

collect_ignore_glob = [] if find_spec("duckdb") else ["test_*.py"]  # they need oido[archive]


@pytest.fixture(scope="session")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of the real engine; see `heard_archive`."""
    return heard_archive(tmp_path_factory.mktemp("archive"))
