# SPDX-License-Identifier: Apache-2.0
"""False events of a taught model on sounds that nobody taught it.

    python benchmarks/unknown.py            three classes of esc10, YAMNet

A model is taught Dog bark, Rooster and Baby cry on folds 1 to 3 of ../shared/audio/esc10. Then
it hears, from folds 4 and 5, clips of the seven other classes (every event there is false) and of
its own three (where the clip's class should be among the events). By windows alone from a score of
0.3 on, by events, and by the triggers of `oido listen`; with and without the output that tells what
is unlike all that was taught, and with and without background in training: recordings of
../shared/audio/everyday, without those of dogs, chickens and babies.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from events import window_events

import oido
from oido.live.triggers import Trigger, TriggerParams, parse_condition

AUDIO = Path(__file__).resolve().parents[1].parent / "shared" / "audio"
TAUGHT = ("Dog bark", "Rooster", "Baby cry")
ALIKE = ("dog", "bark", "rooster", "chicken", "hen", "baby", "wolf", "howl")


def rows_of(name: str) -> list[dict[str, str]]:
    with open(AUDIO / name / "clips.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def folder_of(root: Path, chosen: list[tuple[str, Path]]) -> Path:
    """Links to recordings, each in the folder of its class ("" for none)."""
    for number, (label, path) in enumerate(chosen):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{number}-{path.name}").symlink_to(path)
    return root


def measure(
    model: Path, strangers: list[Path], own: list[tuple[str, Path]], windows: bool = False
) -> str:
    classifier = oido.AudioClassifier(model)
    false, unknown, seconds, right = 0, 0, 0.0, 0
    for path in strangers:
        result = classifier.classify(path)
        events = window_events(result) if windows else result.events()
        false, seconds = false + len(events), seconds + result.duration
        unknown += len(result.events(unknown=True)) - len(result.events())
    for label, path in own:
        result = classifier.classify(path)
        found = {row[2] for row in window_events(result)}
        right += label in (found if windows else {event.label for event in result.events()})
    minutes = seconds / 60
    return f"{false / minutes:6.1f} {unknown / minutes:8.1f} {right:5d} of {len(own)}"


def measure_triggers(model: Path, strangers: list[Path], own: list[tuple[str, Path]]) -> str:
    """One for each class, at the model's own threshold, and ready again at once."""
    classifier = oido.AudioClassifier(model)

    def set_off(path: Path) -> tuple[list[str], float]:
        triggers = [
            Trigger(
                parse_condition(label),
                classifier.postprocessor,
                classifier.windowing,
                TriggerParams(cool_down=0.0),
            )
            for label in TAUGHT
        ]
        on, end = [], 0.0
        for block in classifier.stream(path):
            values, end = classifier.postprocessor.recognised_values(block), block.times[-1, 1]
            for row, (value, scores) in enumerate(zip(values, block.scores)):
                changes = [t.push(block.first_window + row, value, scores) for t in triggers]
                on += [label for label, c in zip(TAUGHT, changes) if c is not None and c.is_on]
        return on, end

    heard = [set_off(path) for path in strangers]
    minutes = sum(seconds for _, seconds in heard) / 60
    right = sum(label in set_off(path)[0] for label, path in own)
    false = sum(len(on) for on, _ in heard)
    return f"{false / minutes:6.1f} {'':8} {right:5d} of {len(own)}"


def main() -> None:
    esc10 = rows_of("esc10")
    train = [r for r in esc10 if r["label"] in TAUGHT and int(r["fold"]) <= 3]
    test = [r for r in esc10 if int(r["fold"]) > 3]
    paths = {r["file"]: AUDIO / "esc10" / r["file"] for r in esc10}
    strangers = [paths[r["file"]] for r in test if r["label"] not in TAUGHT]
    own = [(r["label"], paths[r["file"]]) for r in test if r["label"] in TAUGHT]
    others = [
        ("", AUDIO / "everyday" / row["file"])
        for row in rows_of("everyday")
        if not any(word in " ".join(row.values()).casefold() for word in ALIKE)
    ]
    assert {label for label, _ in own} == set(TAUGHT)
    with tempfile.TemporaryDirectory() as scratch:
        data = oido.Dataset.from_folder(
            folder_of(Path(scratch, "own"), [(r["label"], paths[r["file"]]) for r in train])
        )
        background = folder_of(Path(scratch, "background"), others)
        print(f"{'':42}false/min  unknown/min  own class found")
        for name, taught in (("", data), (", background", data.with_background(background))):
            result = oido.train(taught)
            for unknown in (False, True):
                model = Path(scratch, f"{len(name)}-{unknown}.tflite")
                result.export(model, unknown=unknown)
                kind = "with the unknown" if unknown else "scores alone"
                if not unknown:
                    row = measure(model, strangers, own, windows=True)
                    print(f"{'windows from 0.3 on' + name:42}{row}", flush=True)
                print(f"{kind + name:42}{measure(model, strangers, own)}", flush=True)
                row = measure_triggers(model, strangers, own)
                print(f"{'triggers, ' + kind + name:42}{row}", flush=True)


if __name__ == "__main__":
    main()
