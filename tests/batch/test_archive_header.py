# SPDX-License-Identifier: Apache-2.0
"""What is compared before a run goes on in a folder, and what its header says of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import oido
from oido.batch.archive_header import HEADER, new_header, require_same
from oido.batch.commit_log import CommitLog
from oido.batch.plan import Plan
from oido.batch.results_folder import read_folder
from oido.batch.units import LoadedModel, RunSpec, fingerprint_of
from oido.errors import OptionError
from oido.heads import Head
from oido.models.labels import audioset_labels
from oido.models.tflite.metadata_writer import annotate
from oido.params import Detection, Selection
from tests.batch.archives import MODEL, PARAMETERS, begun, hear, record

YAMNET = LoadedModel("yamnet/classification", "ab" * 32, audioset_labels())


def test_what_differs_is_named_with_both_values(tmp_path: Path) -> None:
    begun(tmp_path / "out").commit()
    other = CommitLog(str(tmp_path / "out"), "1" * 16)
    wanted = {**PARAMETERS, "floor": 0.2, "plan": {"top": None}, "more": "x"}
    with pytest.raises(OptionError) as raised:
        other.begin(wanted, LoadedModel("a model", "cd" * 32), calibrated=False)
    assert str(raised.value) == (
        f"{tmp_path / 'out'} was heard with other parameters: floor was 0.1, now 0.2; "
        'plan.top was 5, now not set; model sha256 was "abababababab", now "cdcdcdcdcdcd"; '
        'more was not set, now "x". '
        "Say --resume with those of before, or choose another folder for the new ones"
    )
    other.begin(PARAMETERS, MODEL, calibrated=False)  # those of before


def parameters(**values: Any) -> dict[str, Any]:
    detection = Detection(thresholds=values.pop("thresholds", ()))
    return RunSpec(Plan(selection=Selection(**values), detection=detection)).parameters()


ALLOWED, DENIED = "category_allowlist", "category_denylist"
SAME = [
    ({ALLOWED: ["Perro"]}, {ALLOWED: ["Dog"]}),
    ({ALLOWED: ["dog"]}, {ALLOWED: ["PERRO"]}),
    ({ALLOWED: ["Siren", "Dog"]}, {ALLOWED: ["Perro", "Sirena", "Dog"]}),
    ({DENIED: ["Musica"]}, {DENIED: ["Music"]}),
    (
        {"thresholds": (("Perro", 0.4), ("Siren", 0.2))},
        {"thresholds": (("siren", 0.2), ("Dog", 0.4))},
    ),
]


@pytest.mark.parametrize(("one", "other"), [*SAME, *((b, a) for a, b in SAME)])
@pytest.mark.parametrize("is_old", [False, True])
def test_labels_are_the_same_whatever_words_name_them(
    one: dict[str, Any], other: dict[str, Any], is_old: bool
) -> None:
    header = new_header(parameters(**one), YAMNET, False, "now")
    if is_old:  # as versions before wrote it
        typed = parameters(**one)
        header |= {"parameters": typed, "fingerprint": fingerprint_of(typed, YAMNET.sha256)}
    require_same("results", header, parameters(**other), YAMNET)
    require_same("results", header, parameters(**one), YAMNET)
    if not is_old:
        assert (
            header["fingerprint"]
            == (new_header(parameters(**other), YAMNET, False, "later")["fingerprint"])
        )


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ({ALLOWED: ["Perro"]}, {ALLOWED: ["Gato"]}, r'allowlist was \["Dog"\], now \["Cat"\]'),
        ({ALLOWED: ["Perro"]}, {DENIED: ["Perro"]}, r'allowlist was \["Dog"\], now \[\]'),
        ({"thresholds": (("Dog", 0.4),)}, {"thresholds": (("Dog", 0.5),)}, "0.4.*now.*0.5"),
    ],
)
def test_other_labels_are_refused(one: dict[str, Any], other: dict[str, Any], says: str) -> None:
    header = new_header(parameters(**one), YAMNET, False, "now")
    with pytest.raises(OptionError, match=says):
        require_same("results", header, parameters(**other), YAMNET)
    said = r"heard by the model yamnet/classification \(SHA-256 ababab.*--model and its file"
    with pytest.raises(OptionError, match=said):
        require_same("results", header, parameters(**one), YAMNET._replace(sha256="cd" * 32))


def test_a_model_that_has_both_words_means_both() -> None:
    model = LoadedModel("mine", "ab" * 32, ("Perro", "Dog", "dog"))
    header = new_header(parameters(**{ALLOWED: ["Perro"]}), model, False, "now")
    for other in ("Dog", "dog"):
        with pytest.raises(OptionError, match=rf'now \["{other}"\]'):
            require_same("results", header, parameters(**{ALLOWED: [other]}), model)


def test_a_run_goes_on_with_labels_in_another_language(tmp_path: Path) -> None:
    recording = record(tmp_path / "a.wav")
    out = str(tmp_path / "out")
    plans = [Plan(selection=Selection(category_allowlist=(label,))) for label in ("perro", "Dog")]
    assert len(hear([recording], out, plans[0])) == 1
    assert hear([recording], out, plans[1], resumes=True) == []
    chosen = read_folder(out).header["parameters"]["selection"]["category_allowlist"]
    assert chosen == ["Dog"]


@pytest.mark.parametrize("licence", ["CC-BY-NC-SA-4.0", "Apache-2.0"])
def test_a_model_of_ones_own_brings_its_licence(tmp_path: Path, licence: str) -> None:
    """As a head does that was taught on a model whose licence must be accepted."""
    model = oido.load_model("yamnet/classification")
    taught = annotate(
        model.path.read_bytes(),
        [Head("scores", model.heads[0].labels)],
        sample_rate_hz=16_000,
        name="mine",
        licence=licence,
    )
    (tmp_path / "taught.tflite").write_bytes(taught)
    plan = Plan(model=str(tmp_path / "taught.tflite"))
    hear([record(tmp_path / "a.wav")], str(tmp_path / "out"), plan)
    header = json.loads((tmp_path / "out" / HEADER).read_text())
    assert header["model"]["name"] == "mine"
    assert header["model"].get("licence") == (licence if licence.startswith("CC") else None)


def test_a_file_is_no_results_folder(tmp_path: Path) -> None:
    (tmp_path / "own.tflite").write_bytes(b"")
    with pytest.raises(OptionError, match=r"own\.tflite: is not a results folder"):
        read_folder(str(tmp_path / "own.tflite"))
