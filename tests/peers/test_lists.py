# SPDX-License-Identifier: Apache-2.0
"""Every kind of file that oido writes, in the peers, with labels allowed and denied."""

from __future__ import annotations

from pathlib import Path

import pytest

import oido
from oido.training.train import train
from tests.peers.peers import run_peer
from tests.training.taught_sounds import make_sounds

pytestmark = pytest.mark.slow

EXPORTS = {"as it is": {}, "embedding": {"embedding": True}}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """By name: a file, and labels of it, one of its first output.

    The Task Library refuses a list of labels of which the first output has none.
    """
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for name, options in EXPORTS.items():
        path = folder / f"{name}.tflite"
        oido.export("yamnet/classification", path, **options)
        made[name] = (path, ["Siren"])
    data = oido.Dataset.load(make_sounds(folder / "sounds", each=4))
    result = train(data, cache=False)
    for name, keep_base in (("taught", False), ("taught, with the base", True)):
        path = folder / f"{name}.tflite"
        result.export(path, keep_base=keep_base)
        made[name] = (path, ["Siren", "beep"] if keep_base else ["beep"])
    return made


@pytest.mark.parametrize("name", [*EXPORTS, "taught", "taught, with the base"])
def test_labels_can_be_allowed_and_denied(
    name: str, files: dict[str, tuple[Path, list[str]]], peer: str, tmp_path: Path
) -> None:
    path, labels = files[name]
    street = Path(__file__).parents[2] / "examples" / "street.flac"
    (allowed,) = run_peer(peer, [path], street, tmp_path, category_allowlist=labels)
    found = [set(output) & set(labels) for output in allowed]
    assert set().union(*found) == set(labels)
    (denied,) = run_peer(peer, [path], street, tmp_path, category_denylist=labels)
    # The Task Library's deny list is about the first output alone.
    judged = denied[:1] if peer == "tflite-support" else denied
    assert all(not set(labels) & set(output) for output in judged)
    assert max(map(len, denied)) > 1
