# SPDX-License-Identifier: Apache-2.0
"""The script that makes the golden values, and the untouched model, for the tests beside it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_golden():
    path = Path(__file__).with_name("make_golden.py")
    spec = importlib.util.spec_from_file_location("oido_make_golden", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def untouched(make_golden, model):
    return make_golden.Untouched(model.path)
