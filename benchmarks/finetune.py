# SPDX-License-Identifier: Apache-2.0
"""What fine-tuning gives beyond a head on the network as it is: ESC-10 by its own folds.

    python benchmarks/finetune.py [--audio ../shared/audio] [--models ../shared/models]
    python benchmarks/finetune.py --only efficientat/mn04 --folds 1

Prints a Markdown table for each network, a row as soon as its fold is done: accuracy of clips and
expected calibration error, of oido's head on frozen embeddings and of the fine-tuned network (which
learns from four fifths of the same clips; the others tell it when to stop), and processor minutes
of one thread. Judged is the graph that LiteRT runs. Embeddings of the frozen network are those that
heads.py keeps.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path

import numpy as np
from heads import embedded
from numpy.typing import NDArray

from oido.evaluation.ranking_and_calibration import expected_calibration_error
from oido.inference.predictor import Predictor
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler
from oido.training.embeddings import EmbeddedClips, clip_probabilities
from oido.training.model_selection import select

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("efficientat/mn04", "yamnet/classification")


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--only", choices=MODELS)
    parser.add_argument("--folds", type=int, default=5, help="only the first so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="each epoch, on stderr")
    arguments = parser.parse_args()
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    for name in MODELS if arguments.only is None else (arguments.only,):
        by_folds(name, arguments)
    return 0


def by_folds(name: str, arguments: argparse.Namespace) -> None:
    """A table: a row for each fold, and their mean."""
    folder = arguments.audio / "esc10"
    frozen, base = embedded(folder, name, "label"), load_model(name)
    waveforms = heard(folder, base)
    print(f"\n### ESC-10, fine-tuned, {name}\n")
    print("| fold | head on frozen embeddings | ECE | fine-tuned | ECE | epochs | CPU minutes |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    rows = []
    for fold in np.unique(frozen.folds)[: arguments.folds]:
        known, unknown = frozen.subset(frozen.folds != fold), frozen.subset(frozen.folds == fold)
        head = select(known, seed=arguments.seed).head
        before = judged(head.scores(unknown.embeddings), unknown)
        model, epochs, minutes = tuned(base, waveforms, frozen, frozen.folds != fold, arguments)
        held = [waveforms[n] for n in np.flatnonzero(frozen.folds == fold)]
        rows.append((*before, *judged(scored(model, held), unknown), minutes))
        print(line(str(fold + 1), rows[-1], str(epochs)), flush=True)
    print(line("mean", tuple(np.mean(rows, axis=0)), ""), flush=True)


def tuned(
    base: AudioModel,
    waveforms: list[NDArray[np.float32]],
    clips: EmbeddedClips,
    known: NDArray[np.bool_],
    arguments: argparse.Namespace,
) -> tuple[AudioModel, int, float]:
    """The fine-tuned model, epochs beyond the head's, and minutes."""
    from oido.torch import Mn04, YamNet
    from oido.torch.clips import LabelledSounds
    from oido.torch.finetune import EpochReport, FinetuneOptions, finetune
    from oido.torch.to_litert import as_model

    def tell(report: EpochReport) -> None:
        if arguments.verbose:
            print(report, file=sys.stderr, flush=True)

    kind = Mn04 if base.name == "efficientat/mn04" else YamNet
    sounds = LabelledSounds(
        [waveforms[n] for n in np.flatnonzero(known)], clips.targets[known], clips.groups[known]
    )
    options = FinetuneOptions(seed=arguments.seed)
    network = kind.from_pretrained(base.path)
    result = finetune(network, sounds, base.windows, options=options, progress=tell)
    epochs = sum(report.stages > 1 for report in result.history)
    return as_model(network, base, clips.classes), epochs, result.cpu_seconds / 60


def judged(scores: NDArray[np.float32], clips: EmbeddedClips) -> tuple[float, float]:
    """Accuracy and calibration error of clips, of the scores of their windows."""
    probabilities = clip_probabilities(scores, clips, "softmax")
    accuracy = float((probabilities.argmax(axis=1) == clips.labels).mean())
    return accuracy, expected_calibration_error(
        probabilities.max(axis=1), probabilities.argmax(axis=1) == clips.labels
    )


def scored(model: AudioModel, waveforms: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """f32[M, C]: every window of every clip, by LiteRT."""
    from oido.torch.clips import clip_windows

    ear = Predictor.of(model)
    windows = (window for w in waveforms for window in clip_windows(w, model.windows)[0])
    return np.concatenate([ear.predict(w, model.windows.hop_samples).scores for w in windows])


def heard(folder: Path, base: AudioModel) -> list[NDArray[np.float32]]:
    """Every clip at the model's rate."""
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        files = [row["file"] for row in csv.DictReader(file)]
    waveforms = []
    for name in files:
        with open_audio(os.fspath(folder / name)) as reader:
            resampler = Resampler(reader.info.sample_rate_hz, base.windows.sample_rate_hz)
            parts = [resampler.push(block) for block in mono_blocks(reader)]
        waveforms.append(np.concatenate([*parts, resampler.flush()]))
    return waveforms


def line(fold: str, row: tuple[float, ...], epochs: str) -> str:
    """A row of the table."""
    before, before_error, after, after_error, minutes = row
    return (
        f"| {fold} | {before:.4f} | {before_error:.3f} | {after:.4f} | {after_error:.3f} "
        f"| {epochs} | {minutes:.1f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
