# SPDX-License-Identifier: Apache-2.0
"""PyTorch is loaded by oido.torch alone, when it is used; where it is missing, that is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

NAMES = ("Heard", "Mn04", "MnLogMel", "StagedNetwork", "YamNet", "YamNetLogMel")
BLOCKED = "import sys; sys.modules['torch'] = None"


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "import oido; oido.AudioClassifier; oido.AudioEmbedder",
        "import oido.models.loading, oido.inference.predictor, oido.cli.main",
        "import oido.torch; dir(oido.torch)",
    ],
)
def test_nothing_else_loads_torch(code):
    done = run(f"{code}\nimport sys; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_extra_is_named(name):
    done = run(
        f"{BLOCKED}\nfrom oido.errors import MissingExtraError\n"
        f"try:\n    from oido.torch import {name}\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    assert done.stdout.strip() == (
        "the starting points need PyTorch; install it with: pip install 'oido[torch]'"
    ), done.stderr


def test_the_public_names():
    import oido.torch

    assert sorted(oido.torch.__all__) == dir(oido.torch) == sorted(NAMES)
    with pytest.raises(AttributeError, match="no attribute 'Vggish'"):
        _ = oido.torch.Vggish


def test_every_public_name_is_there():
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
    import oido.torch

    for name in NAMES:
        assert getattr(oido.torch, name).__name__ == name
