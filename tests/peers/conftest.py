# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run a model in other libraries.

``benchmarks/peers/make_envs.py`` makes their environments, in ``.bench`` or in the folder that
OIDO_TEST_PEERS names. Tests of a peer that is not there are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.peers.birds import make_recordings
from tests.peers.peers import CHILDREN, Audio, Scores, interpreter, run_peer

Run = Callable[[str, Path, Audio], Scores]
RunAll = Callable[[str, Sequence[Path], Audio], list[Scores]]


@pytest.fixture(scope="session")
def birds(shared_audio: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Recordings of birds for BirdNET's programs."""
    return make_recordings(shared_audio, tmp_path_factory.mktemp("birds"))


@pytest.fixture(params=sorted(CHILDREN))
def peer(request: pytest.FixtureRequest) -> str:
    """The name of each peer in turn; skips without its environment."""
    name = str(request.param)
    interpreter(name)
    return name


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(peer, model_path, audio)``: by output, the scores by label of the first window.

    Raises PeerRefusedError if the peer does not load or run the model.
    """

    def run(peer: str, model: Path, audio: Audio) -> Scores:
        (answer,) = run_peer(peer, [model], audio, tmp_path)
        return answer

    return run


@pytest.fixture
def run_all(tmp_path: Path) -> RunAll:
    """``run_all(peer, model_paths, audio)``: many models in one process of the peer.

    Raises PeerRefusedError if it does not load or run one of them.
    """

    def run_all(peer: str, models: Sequence[Path], audio: Audio) -> list[Scores]:
        return run_peer(peer, models, audio, tmp_path)

    return run_all
