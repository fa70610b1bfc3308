# SPDX-License-Identifier: Apache-2.0
"""What fine-tuning gives beyond a head on the network as it is, a set by its folds.

    python benchmarks/finetune.py [--audio ../shared/audio] [--models ../shared/models]
    python benchmarks/finetune.py --only efficientat/mn04 --folds 1
    python benchmarks/finetune.py --set everyday --only efficientat/mn04 --parts

Prints a Markdown table for each network, a row as soon as its fold is done: accuracy of clips, log
loss and expected calibration error, of oido's head on frozen embeddings and of the fine-tuned
network (which learns from four fifths of the same clips; the others tell it when to stop and how
far to go, and are in the head), and processor minutes of one thread. ESC-10 has folds of its own;
the other sets get three, sources kept whole. --parts: a row for each fold and each part of the
recipe that is left out. The teacher is a head on both networks. Judged is the graph that LiteRT
runs. Embeddings are those that heads.py keeps.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from heads import chosen_rows, embedded
from numpy.typing import NDArray

from oido.calibration.scaling import log_losses
from oido.datasets.splits import stratified_folds
from oido.evaluation.ranking_and_calibration import expected_calibration_error
from oido.inference.classifier import AudioClassifier
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler
from oido.training.embeddings import EmbeddedClips, clip_probabilities
from oido.training.finetune import fitted_heads
from oido.training.model_selection import ModelSelection, select

if TYPE_CHECKING:
    from oido.torch.training_loop import FinetuneOptions

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("efficientat/mn04", "yamnet/classification")
SETS = {"esc10": "label", "everyday": "audioset_label", "three-events": "label"}
PARTS = {
    "all": {},
    "no teacher": {"soft": 0.0},
    "no masks": {"masked_bands": 0.0, "masked_frames": 0.0},
    "no mean of weights": {"averaged": 0.0},
    "none of the three": {"soft": 0.0, "masked_bands": 0.0, "masked_frames": 0.0, "averaged": 0.0},
}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--only", choices=MODELS)
    parser.add_argument("--folds", type=int, default=5, help="only the first so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", choices=tuple(SETS), default="esc10")
    parser.add_argument("--epochs", type=int, help="of each phase, at most")
    parser.add_argument("--minutes", type=float, help="stop each training after so many")
    parser.add_argument("--parts", action="store_true", help="leave out the parts in turn")
    parser.add_argument("--verbose", action="store_true", help="each epoch, on stderr")
    arguments = parser.parse_args()
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    for name in MODELS if arguments.only is None else (arguments.only,):
        by_folds(name, arguments)
    return 0


def by_folds(name: str, arguments: argparse.Namespace) -> None:
    """A table: rows for each fold, and their means."""
    folder, column = arguments.audio / arguments.set, SETS[arguments.set]
    frozen, base = embedded(folder, name, column), load_model(name)
    if frozen.folds.min() < 0:
        frozen = replace(frozen, folds=stratified_folds(frozen.labels, frozen.groups, 3, 0))
    teacher = replace(embedded(folder, "ensemble", column), folds=frozen.folds)
    waveforms = heard(folder, base, column)
    parts = PARTS if arguments.parts else {"all": PARTS["all"]}
    print(f"\n### {arguments.set}, fine-tuned, {name}\n")
    print("| fold | way | accuracy | log loss | ECE | epochs | CPU minutes |")
    print("|---|---|---:|---:|---:|---:|---:|", flush=True)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for fold in np.unique(frozen.folds)[: arguments.folds]:
        learns = frozen.folds != fold
        known, unknown = frozen.subset(learns), frozen.subset(~learns)
        selection = select(known, seed=arguments.seed)
        figures = judged(selection.head.scores(unknown.embeddings), unknown)
        rows.setdefault("the head", []).append(figures)
        print(line(str(fold + 1), "the head", figures, ""), flush=True)
        soft = select(teacher.subset(learns), seed=arguments.seed).out_of_fold
        held = [waveforms[n] for n in np.flatnonzero(~learns)]
        for way, changed in parts.items():
            options = options_of(arguments, changed)
            model, epochs, minutes = tuned(
                base, waveforms, frozen, learns, selection, soft, options
            )
            figures = (*judged(scored(model, held), unknown), minutes)
            rows.setdefault(way, []).append(figures)
            print(line(str(fold + 1), way, figures, str(epochs)), flush=True)
    for way, of_folds in rows.items():
        print(line("mean", way, tuple(np.mean(of_folds, axis=0)), ""), flush=True)


def options_of(arguments: argparse.Namespace, changed: dict[str, float]) -> FinetuneOptions:
    """The defaults, but for what the command line and a row change."""
    from oido.torch.training_loop import FinetuneOptions

    options = FinetuneOptions(seed=arguments.seed, max_minutes=arguments.minutes, **changed)
    return options if arguments.epochs is None else replace(options, epochs=arguments.epochs)


def tuned(
    base: AudioModel,
    waveforms: list[NDArray[np.float32]],
    clips: EmbeddedClips,
    known: NDArray[np.bool_],
    selection: ModelSelection,
    soft: NDArray[np.float32] | None,
    options: FinetuneOptions,
) -> tuple[AudioModel, int, float]:
    """The fine-tuned model, epochs beyond the head's, and minutes."""
    from oido.torch import Mn04, YamNet
    from oido.torch.clips import LabelledSounds
    from oido.torch.finetune import EpochReport, finetune
    from oido.torch.to_litert import as_model

    def show(report: EpochReport) -> None:
        if "--verbose" in sys.argv:
            print(report, file=sys.stderr, flush=True)

    kind = Mn04 if base.name == "efficientat/mn04" else YamNet
    sounds = LabelledSounds(
        [waveforms[n] for n in np.flatnonzero(known)],
        clips.targets[known],
        clips.groups[known],
        soft=soft,
    )
    held = sounds.held_out(options.validation, options.seed)
    network = kind.from_pretrained(base.path)
    result = finetune(
        network,
        sounds.subset(np.flatnonzero(~held)),
        base.windows,
        validation=sounds.subset(np.flatnonzero(held)),
        heads=fitted_heads(clips.subset(known), held, selection, options.seed),
        options=options,
        progress=show,
    )
    epochs = sum(report.share == 1.0 for report in result.history)
    return as_model(network, base, clips.classes), epochs, result.cpu_seconds / 60


def judged(scores: NDArray[np.float32], clips: EmbeddedClips) -> tuple[float, float, float]:
    """Accuracy, log loss and calibration error of clips, of the scores of their windows."""
    probabilities = clip_probabilities(scores, clips, "softmax")
    right = probabilities.argmax(axis=1) == clips.labels
    loss = float(log_losses(probabilities, clips.targets, "softmax").mean())
    return (float(right.mean()), loss, expected_calibration_error(probabilities.max(axis=1), right))


def scored(model: AudioModel, waveforms: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """f32[M, C]: every window of every clip, by LiteRT, as `embedded` has cut them."""
    classifier, rate_hz = AudioClassifier(model, jobs=1), model.windows.sample_rate_hz
    return np.concatenate([classifier.classify(w, rate_hz).scores for w in waveforms])


def heard(folder: Path, base: AudioModel, column: str) -> list[NDArray[np.float32]]:
    """The clips that `embedded` has, at the model's rate."""
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    waveforms = []
    for name in (rows[n]["file"] for n in chosen_rows(rows, column, 4)):
        with open_audio(os.fspath(folder / name)) as reader:
            resampler = Resampler(reader.info.sample_rate_hz, base.windows.sample_rate_hz)
            parts = [resampler.push(block) for block in mono_blocks(reader)]
        waveforms.append(np.concatenate([*parts, resampler.flush()]))
    return waveforms


def line(fold: str, way: str, figures: tuple[float, ...], epochs: str) -> str:
    """A row of the table; the head takes seconds."""
    accuracy, loss, error, *minutes = figures
    cost = f"{minutes[0]:.1f}" if minutes else ""
    return f"| {fold} | {way} | {accuracy:.4f} | {loss:.4f} | {error:.3f} | {epochs} | {cost} |"


if __name__ == "__main__":
    sys.exit(main())
