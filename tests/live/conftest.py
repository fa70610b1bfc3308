# SPDX-License-Identifier: Apache-2.0
"""What several tests of live sources share."""

from __future__ import annotations

import pytest

from tests.live.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
