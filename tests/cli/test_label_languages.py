# SPDX-License-Identifier: Apache-2.0
"""A label in either language is the same label, in every option that takes one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

import oido
from oido.batch.plan import make_plan
from oido.cli.main import build_parser, run
from oido.inference.postprocess import make_postprocessors
from oido.models.labels import audioset_labels, display_names, is_same, label_indices
from oido.models.model import AudioModel
from oido.options import LABELS, OPTIONS, read_header_options, read_query
from oido.results.results import Results
from oido.review.queues import QueueChoice, make_queue
from tests.results.results_folders import heard_archive
from tests.search.test_label_store import answer

pytest.importorskip("duckdb", reason="needs oido[archive]")

EXAMPLES = Path(__file__).parents[2] / "examples"
ALARM = ("Alarm", "Alarma", "alarma", "  ALARMA ")
SPEECH = ("Speech", "Habla", "habla")
Told = Callable[..., Any]


def _actions(parser: Any, words: str = "") -> Iterator[tuple[str, Any]]:
    for action in parser._actions:
        if hasattr(action, "_name_parser_map"):
            for name, each in action.choices.items():
                yield from _actions(each, f"{words} {name}".strip())
        else:
            yield words, action


def label_options() -> set[tuple[str, str]]:
    """Every command and its option that takes labels, as the parsers have them."""
    found = set()
    for words, action in _actions(build_parser()):
        flag = action.option_strings[0] if action.option_strings else action.dest
        option = OPTIONS.get(action.dest)
        has_labels = option is not None and option.kind is LABELS
        if words == "review":  # it serves until it is ended: `test_so_does_what_is_asked_about`
            continue
        if has_labels or "LABEL" in str(action.metavar) or action.dest == "thresholds":
            found.add((words, flag))
    return found | {("listen", "--on")}  # whose condition has labels in it


class Runs:
    """What each command does with a label; the same of all names that it has."""

    def __init__(self, folder: Path, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._archive, self._capsys = folder, archive, capsys
        self._sound = folder / "alarm.wav"
        samples, rate_hz = soundfile.read(EXAMPLES / "alarm.flac", stop=16_000 * 5)
        soundfile.write(self._sound, samples, rate_hz)
        self._model = folder / "y.tflite"
        self._count = 0

    def __call__(self, command: str, flag: str, label: str) -> Any:
        own: dict[str, Told] = {
            "classify": self._classify,
            "batch": self._batch,
            "listen": self._listen,
            "find": self._of_archive,
            "clips": self._clips,
            "count": self._counted,
            "report": self._of_archive,
            "labels export": self._exported,
            "thresholds edit": self._edited,
        }
        return own[command](command, flag, label)

    def names(self, command: str) -> tuple[str, ...]:
        """Of a label that is there to be found."""
        return ALARM if command in ("classify", "batch", "listen", "thresholds edit") else SPEECH

    def _out(self, *words: object) -> str:
        assert run(list(map(str, words))) == 0, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    def _value(self, flag: str, label: str) -> object:
        if flag != "--thresholds":
            return label
        path = self._folder / "thresholds.csv"
        path.write_text(f'"{label}",0.05\n', encoding="utf-8")
        return path

    def _classify(self, command: str, flag: str, label: str) -> Any:
        words = ("classify", self._sound, "--format", "csv", "-q", "--jobs", 1)
        return self._out(*words, flag, self._value(flag, label))

    def _batch(self, command: str, flag: str, label: str) -> Any:
        self._count += 1
        out = self._folder / f"results-{self._count}"
        words = ("batch", self._sound, "-o", out, "-q", "--jobs", 1)
        self._out(*words, flag, self._value(flag, label))
        header = json.loads((out / "oido-archive.json").read_text("utf-8"))
        return header["parameters"], self._out("query", out, "--format", "csv")

    def _listen(self, command: str, flag: str, label: str) -> Any:
        value = f"{label}>0.3" if flag == "--on" else self._value(flag, label)
        lines = self._out("listen", self._sound, "--replay", "--jsonl", flag, value).splitlines()
        left_out = {"condition", "id", "trigger", "start_utc", "end_utc", "time"}
        records = [json.loads(line) for line in lines]
        return [
            {key: value for key, value in record.items() if key not in left_out}
            for record in records
            if record["type"] != "began"
        ]

    def _of_archive(self, command: str, flag: str, label: str) -> Any:
        self._count += 1
        out = self._folder / f"{command}-{self._count}.csv"
        self._out(command, self._archive, flag, label, "-o", out, "-q")
        return out.read_text("utf-8")

    def _clips(self, command: str, flag: str, label: str) -> Any:
        self._count += 1
        out = self._folder / f"clips-{self._count}"
        words = ("clips", self._archive, "--choose", "stratified", "--count", 3)
        self._out(*words, flag, label, "-o", out, "-q")
        return (out / "clips.csv").read_text("utf-8")

    def _counted(self, command: str, flag: str, label: str) -> Any:
        table = self._folder / "reviewed.csv"
        if not table.exists():
            text = self._clips("clips", "--label", "Speech").splitlines()
            table.write_text("\n".join([text[0], *(f"{line}yes" for line in text[1:])]) + "\n")
        return self._out("count", self._archive, flag, label, "--reviewed", table)

    def _exported(self, command: str, flag: str, label: str) -> Any:
        store, out = self._folder / "p.db", self._folder / "labels.csv"
        if not store.exists():
            from oido.search.label_store import LabelStore

            with LabelStore(store) as new:
                new.add([answer(1, label=each) for each in ("Speech", "Dog")])
        self._out("labels", "export", store, flag, label, "-o", out)
        return out.read_text("utf-8")

    def _edited(self, command: str, flag: str, label: str) -> Any:
        if not self._model.exists():
            words = ("export", "yamnet/classification", "-o", self._model)
            self._out(*words)
            self._out("thresholds", "edit", self._model, "--set", "Alarm=0.7")
        out = self._folder / "edited.tflite"
        value = f"{label}=0.4" if flag == "--set" else label
        more = () if flag == "--set" else ("--set", "Dog=0.5")
        self._out("thresholds", "edit", self._model, flag, value, *more, "-o", out)
        return self._out("thresholds", "show", out)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heard_archive(tmp_path_factory.mktemp("labels"))


@pytest.mark.parametrize(("command", "flag"), sorted(label_options()))
def test_each_option_takes_a_label_in_either_language(
    command: str, flag: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(tmp_path, archive, capsys)
    own, other = runs.names(command)[:2]
    first = runs(command, flag, own)
    assert first
    assert runs(command, flag, other) == first


def test_so_does_what_is_asked_about(archive: Path) -> None:
    with Results(str(archive)) as results:
        queues = [make_queue(results, QueueChoice(label=name)).items for name in SPEECH[:3]]
    assert queues[0]
    assert queues[0] == queues[1] == queues[2]


@pytest.mark.parametrize(
    "option",
    [option for option in OPTIONS.values() if option.kind is LABELS],
    ids=lambda option: option.name,
)
@pytest.mark.parametrize("read", [read_query, read_header_options])
def test_so_do_queries_and_headers_of_the_server(option: Any, read: Any, model: AudioModel) -> None:
    def allowed(label: str) -> list[bool]:
        given = [(option.name, label)] if read is read_query else {option.name: [label]}
        plan = make_plan({**read(given), "model": model.name}, model=model.name, calibrated=False)
        made = make_postprocessors(
            model.heads, model.head, plan.selection, locale="en", rolls_up=False
        )
        found: list[bool] = made[model.head.name].selector.allowed.tolist()
        return found

    for own, other in (("Siren", "Sirena"), ("Animal/", "animal/"), ("Vehicle/", "vehículo/")):
        assert allowed(own) == allowed(other)


def test_so_does_python(model: AudioModel) -> None:
    sound = EXAMPLES / "alarm.flac"
    for name in ("category_allowlist", "category_denylist"):
        first, *others = (
            oido.AudioClassifier(model, jobs=1, **{name: [label]}).classify(sound).events()
            for label in ALARM
        )
        assert others == [first] * 3
    result = oido.AudioClassifier(model, jobs=1).classify(sound)
    first, second = (result.events(thresholds={label: 0.6}) for label in ALARM[:2])
    assert first == second != result.events(thresholds={"Alarm": 0.05})


def test_every_label_is_understood_by_what_it_is_called() -> None:
    labels = audioset_labels()
    names = display_names(labels, "es")
    for index, (label, name) in enumerate(zip(labels, names)):
        assert {*label_indices(labels, [name, name.upper(), label.lower()])} == {index}, label
        assert is_same(label, name)
    assert sum(label != name for label, name in zip(labels, names)) >= 500
    assert not is_same("Dog", "Gato")
    assert is_same("Mi perro ", "mi PERRO")
