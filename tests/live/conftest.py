# SPDX-License-Identifier: Apache-2.0
"""What several tests of live sources share."""

from __future__ import annotations

import pytest

from tests.live.certificates import Authority
from tests.live.receiving import EXAMPLES
from tests.live.servers import as_mp3


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def mp3() -> bytes:
    return as_mp3(EXAMPLES / "street.flac")
