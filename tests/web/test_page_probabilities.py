# SPDX-License-Identifier: Apache-2.0
"""The page says "probability" exactly where the model is calibrated: wherever it runs, in both
languages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import oido
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.server.page_files import export_page
from tests.web.browsing import STREET, Host, Pages, Served, hear_street, serving

KINDS = {"en-US": ("score", "probability"), "es-ES": ("puntuación", "probabilidad")}
HIGHEST = {"en-US": "highest {}", "es-ES": "{} máxima"}
ABOUT = {
    "en-US": (
        "Scores are the model's raw outputs from 0 to 1, and not probabilities.",
        "Probabilities come from the model's own calibration.",
    ),
    "es-ES": (
        "Las puntuaciones son las salidas del modelo, de 0 a 1, y no probabilidades.",
        "Las probabilidades vienen de la calibración del propio modelo.",
    ),
}


@pytest.fixture(scope="module")
def taught_served(own_cache: Path, taught: Path) -> Iterator[Served]:
    with serving("--model", str(taught)) as started:
        yield started


@pytest.fixture(scope="module")
def probabilities(taught: Path) -> list[float]:
    """Of the events of examples/street.flac, from Python."""
    events = oido.AudioClassifier(taught, jobs=1).classify(STREET).events()
    return [event.probability for event in events if event.probability is not None]


def _assert_kind(page: Any, language: str, calibrated: bool) -> None:
    """Everything on a page that heard something calls its values what they are."""
    kind, other = KINDS[language][calibrated], KINDS[language][not calibrated]
    assert page.text_content("#value-title") == kind
    assert page.text_content("#now-what") == HIGHEST[language].format(kind)
    assert f" {kind} " in page.text_content("#threshold-hint")
    assert page.text_content("#model-about") == ABOUT[language][calibrated]
    assert other not in page.text_content("#found")


def _values(page: Any) -> list[float]:
    cells = page.eval_on_selector_all("#rows tr", "rows => rows.map(r => r.cells[2].textContent)")
    return [float(text.replace(",", ".")) for text in cells]


@pytest.mark.parametrize(
    ("where", "language"),
    [
        ("server", "es-ES"),
        ("device", "en-US"),
        pytest.param("server", "en-US", marks=pytest.mark.slow),
        pytest.param("device", "es-ES", marks=pytest.mark.slow),
    ],
)
def test_of_a_calibrated_model_they_are_probabilities(
    pages: Pages,
    on_device: None,
    taught_served: Served,
    probabilities: list[float],
    where: str,
    language: str,
) -> None:
    page = pages.open(where, address=taught_served.address, language=language)
    hear_street(page)
    _assert_kind(page, language, calibrated=True)
    assert len(probabilities) > 3
    assert _values(page) == pytest.approx(probabilities, abs=0.006)


@pytest.mark.parametrize(
    ("where", "language"),
    [
        ("server", "en-US"),
        ("device", "es-ES"),
        pytest.param("server", "es-ES", marks=pytest.mark.slow),
        pytest.param("device", "en-US", marks=pytest.mark.slow),
    ],
)
def test_of_another_model_they_are_scores(
    pages: Pages, on_device: None, where: str, language: str
) -> None:
    page = pages.open(where, language=language)
    hear_street(page)
    _assert_kind(page, language, calibrated=False)


def test_an_exported_page_says_the_same_before_anything_is_loaded(
    pages: Pages, on_device: None, taught: Path, model: AudioModel, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    export_page(folder, [load_model(taught), model])
    host = Host(folder)
    try:
        page = pages.open(None, address=host.address)
        about = page.locator("#model-about")
        page.wait_for_selector("#badge:not([hidden])")
        assert about.text_content() == ABOUT["en-US"][True]
        page.select_option("#model", model.name)
        assert about.text_content() == ABOUT["en-US"][False]
        page.select_option("#model", taught.stem)
        hear_street(page)
        _assert_kind(page, "en-US", calibrated=True)
    finally:
        host.stop()


def test_a_model_of_ones_own_says_it_of_itself(pages: Pages, on_device: None, taught: Path) -> None:
    page = pages.open("device")
    page.set_input_files("#own-model-file", taught)
    assert page.input_value("#model") == taught.name
    page.wait_for_selector(f"#model-about:text-is({json.dumps(ABOUT['en-US'][True])})")
    hear_street(page)
    _assert_kind(page, "en-US", calibrated=True)
