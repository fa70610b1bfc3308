# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from oido.results import Results

collect_ignore_glob = [] if find_spec("duckdb") else ["test_*.py"]  # they need oido[archive]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of owls, and of one recording that is gone; see `tone_archive`."""
    from tests.review.archives import tone_archive  # it needs pyarrow

    return tone_archive(tmp_path_factory.mktemp("owls"), gone=True).folder


@pytest.fixture
def results(archive: Path) -> Iterator[Results]:
    with Results(str(archive)) as opened:
        yield opened
