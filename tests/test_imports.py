# SPDX-License-Identifier: Apache-2.0
"""What importing loads: `import oido` stays light, and each room loads only what is its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "ai_edge_litert", "flatbuffers", "soundfile", "av", "soxr", "pyarrow", "tqdm")


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after this code."""
    program = f"{code}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_importing_oido_loads_nothing_heavy():
    assert loaded_by("import oido; oido.__version__; dir(oido)").isdisjoint(HEAVY)


def test_importing_oido_loads_none_of_its_own_rooms():
    program = "import oido, sys\nprint(*[m for m in sys.modules if m.startswith('oido.')])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["oido._version"]


@pytest.mark.parametrize("code", ["oido.OidoError", "oido.ModelFetchError", "oido.Event"])
def test_errors_and_records_load_nothing_heavy(code):
    assert loaded_by(f"import oido; {code}").isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("oido.params", HEAVY),
        ("oido.models.registry", HEAVY),
        ("oido.cli.run_pool", set(HEAVY) - {"tqdm"}),
        ("oido.models.fetch", HEAVY),
        ("oido.events.segmentation", set(HEAVY) - {"numpy"}),
        ("oido.signal.resample", {"soundfile", "av", "ai_edge_litert"}),
        ("oido.signal.frontend", set(HEAVY) - {"numpy"}),
        ("oido.runtime.fake", set(HEAVY) - {"numpy"}),
        ("oido.runtime.litert", {"soundfile", "av", "soxr"}),
        ("oido.inference.classifier", {"pyarrow", "tqdm"}),
    ],
)
def test_a_room_loads_only_what_it_needs(module, absent):
    assert loaded_by(f"import {module}").isdisjoint(absent)
