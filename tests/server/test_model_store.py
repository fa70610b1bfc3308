# SPDX-License-Identifier: Apache-2.0
"""The models that a server has: by name, each once, with the calibration that was made for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oido.errors import ModelNotFoundError, OptionError
from oido.heads import ScoreCalibration, ScoreTransformation, Sigmoid
from oido.models.calibration_file import Calibration
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.registry import DEFAULT_MODEL
from oido.params import Selection
from oido.server.model_store import ModelStore, load_configured_model, require_fitting
from oido.server.settings import Settings


@pytest.fixture(scope="module")
def calibration(model: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made up: a slope for all, and a threshold that only sirens reach."""
    kind = ScoreTransformation.INVERSE_LOGISTIC
    scores = ScoreCalibration((Sigmoid(1.0, 1.3, -0.4, 1e-4),) * 521, kind, 1e-5)
    thresholds = tuple((label, 0.35 if label == "Siren" else 1.0) for label in model.head.labels)
    path = tmp_path_factory.mktemp("calibration") / "calibration.json"
    Calibration.of(model, model.head, scores=scores, thresholds=thresholds).save(path)
    return path


def test_a_calibration_for_another_model_is_refused(calibration: Path, tmp_path: Path) -> None:
    values = json.loads(calibration.read_text("utf-8"))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**values, "model_sha256": "0" * 64}), "utf-8")
    with pytest.raises(OptionError, match="calibrate this one"):
        ModelStore(Settings((DEFAULT_MODEL,), calibrations=(str(other),), workers=1))


@pytest.fixture(scope="module")
def store(own_cache: Path) -> Iterator[ModelStore]:
    made = ModelStore(Settings((DEFAULT_MODEL,), workers=1))
    yield made
    made.close()


def test_the_first_model_is_the_default_and_others_have_their_names(store: ModelStore) -> None:
    (served,) = store
    assert store.find(None) is store.find(DEFAULT_MODEL) is served
    with pytest.raises(ModelNotFoundError, match=f"has no model 'other', only {DEFAULT_MODEL}"):
        store.find("other")
    with pytest.raises(ModelNotFoundError) as raised:
        store.find("x" * 10_000)
    assert len(str(raised.value)) < 300


def test_facts_are_those_of_the_model(store: ModelStore, model: AudioModel) -> None:
    facts = store.find(None).facts()
    assert (facts["sample_rate"], facts["window"], facts["hop"]) == (16_000, 0.975, 0.48)
    assert (facts["classes"], facts["calibrated"], facts["heads"]) == (521, False, ["scores"])
    assert "labels" not in facts
    assert store.find(None).facts(with_labels=True)["labels"] == list(model.labels)
    json.dumps(facts)


def test_of_two_models_of_one_name_the_second_is_called_as_its_file(
    model: AudioModel, tmp_path: Path
) -> None:
    paths = [tmp_path / name / "copy.tflite" for name in ("one", "other")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(model.path.read_bytes())
    store = ModelStore(Settings((DEFAULT_MODEL, str(paths[0])), workers=1))
    assert [served.facts()["name"] for served in store] == [DEFAULT_MODEL, "copy"]
    assert store.find("copy").source == str(paths[0])
    store.close()
    with pytest.raises(OptionError, match="two of the models are called copy"):
        ModelStore(Settings((DEFAULT_MODEL, *map(str, paths)), workers=1))


def test_a_calibration_is_taken_for_its_own_model_only(calibration: Path) -> None:
    made, is_new = load_configured_model(DEFAULT_MODEL, None, [str(calibration)])
    assert is_new
    assert made.head.calibration is not None
    other, is_new = load_configured_model(DEFAULT_MODEL, "float32", [str(calibration)])
    assert not is_new
    assert other.head.calibration is None
    with pytest.raises(OptionError, match="and this server has"):
        require_fitting([other], [str(calibration)])
    require_fitting([other, made], [str(calibration)])


def test_options_that_it_has_not_are_told(store: ModelStore) -> None:
    served = store.find(None)
    with pytest.raises(OptionError, match="has no head 'other'"):
        served.postprocessor(Selection(), locale="en", head="other")


def test_the_same_options_have_the_same_postprocessor(store: ModelStore) -> None:
    """Requests and streams that ask for the same share one, which keeps nothing of them."""
    served = store.find(None)
    one = served.postprocessor(Selection(3), locale="en")
    assert served.postprocessor(Selection(3), locale="en") is one
    for other in (
        served.postprocessor(Selection(4), locale="en"),
        served.postprocessor(Selection(3), locale="es"),
        served.postprocessor(Selection(3), locale="en", rolls_up=True),
    ):
        assert other is not one
    for _ in range(2):
        with pytest.raises(OptionError, match="Meow"):
            served.postprocessor(Selection(category_allowlist=("Meouw",)), locale="en")


def test_labels_in_another_language(tmp_path: Path) -> None:
    """Of the model whose labels they are; a file that is of none is refused when it starts."""
    path = tmp_path / "labels_de.txt"
    own = load_model("yamnet/classification").labels
    path.write_text("\n".join(f"de {label}" for label in own), encoding="utf-8")
    store = ModelStore(Settings(workers=1, labels_files=(str(path),)))
    try:
        served = store.find(None)
        reader = served.postprocessor(Selection(category_allowlist=("de Speech",)), locale="en")
        assert reader.selector.display_names[0] == "de Speech"
        assert reader.selector.allowed.nonzero()[0].tolist() == [0]
        assert served.labels_file(None) == str(path)
        assert served.labels_file("another") is None
    finally:
        store.close()
    path.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(OptionError, match="has 2 labels and the model 521"):
        ModelStore(Settings(workers=1, labels_files=(str(path),)))
