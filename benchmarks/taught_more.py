# SPDX-License-Identifier: Apache-2.0
"""False events of a model of one's own that is taught a further sound on the page.

    python benchmarks/taught_more.py            three classes of esc10 and one more, YAMNet

A model is taught Dog bark, Rain and Rooster on folds 1 to 3 of ../shared/audio/esc10. The page's
modules, run in Node.js, teach it one more sound by eight clips of those folds; moments of other
sounds are those of a quiet room, or of ../shared/audio/everyday. Then it hears folds 4 and 5: clips
of the other classes, where every event is false, and of its own, where the clip's class should be
among the events. With what it calls unknown, and by scores alone (a model without that sense). Last
`oido train --keep-base` of two classes more on that model, by the head that was kept. Needs Node.js
20.19.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from unknown import AUDIO, folder_of, rows_of

import oido
from oido.arrays import F32
from oido.inference.predictor import whole_runtime
from oido.models.model import WholeNetwork
from oido.server.page_files import WEB_FOLDER
from oido.signal.framing import cut_windows

OWN = ("Dog bark", "Rain", "Rooster")
MORE = ("Clock tick", "Baby cry", "Helicopter")
EXAMPLES, MOMENTS = 8, 12
RATE_HZ, WINDOW, HOP = 16_000, 15_600, 7_680

_EMBED = """
const { embeddingGraph } = await import(`${core}/head_export.js`);
await writeFile(out, (await embeddingGraph(bytes)).content);
"""

_TEACH = """
const { fitHead } = await import(`${core}/head_fit.js`);
const { directionsOf } = await import(`${core}/novelty.js`);
const { taughtModel } = await import(`${core}/head_export.js`);
const { clips, label } = JSON.parse(await readFile(described, "utf8"));
const floats = (rows) => rows && rows.map((row) => Float32Array.from(row));
for (const clip of clips) {
  [clip.rows, clip.directions] = [floats(clip.rows), floats(clip.directions)];
}
const options = { labels: [label], name: "my-sounds.tflite", threshold: 0.5 };
const [head, directions] = [fitHead(clips, 2), directionsOf(clips, 2)];
await writeFile(out, await taughtModel(bytes, { head, directions, ...options }));
"""


def in_node(script: str, base: Path, out: Path, described: Path | None = None) -> None:
    """Run a script of the page's modules."""
    values = json.dumps([str(each) for each in (WEB_FOLDER / "core", base, out, described)])
    begin = f"""import {{ readFile, writeFile }} from "node:fs/promises";
        const [core, base, out, described] = {values};
        const bytes = new Uint8Array(await readFile(base));"""
    command = ["node", "--no-warnings", "--input-type=module", "-e", begin + script]
    subprocess.run(command, check=True)


def waveform_of(path: Path) -> F32:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), np.float32)


class Teacher:
    """The page's teaching on a model: what it has of each clip, and the file that it makes."""

    def __init__(self, base: Path, folder: Path) -> None:
        self._base, self._folder = base, folder
        graph = folder / "embedding.tflite"
        in_node(_EMBED, base, graph)
        self._tells = oido.AudioClassifier(base, jobs=1).model.novelty is not None
        outputs = (1,) if self._tells else (0,)
        self._runtime = whole_runtime(WholeNetwork(graph.read_bytes(), outputs, 0))

    def clip(self, waveform: F32, label: int) -> dict[str, Any]:
        count = max(1, 1 + -(-(len(waveform) - WINDOW) // HOP))
        whole = np.zeros((count - 1) * HOP + WINDOW, np.float32)
        whole[: min(len(waveform), len(whole))] = waveform[: len(whole)]
        found = self._runtime.run(np.ascontiguousarray(cut_windows(whole, WINDOW, HOP)))
        shares = (len(waveform) - HOP * np.arange(count)) / WINDOW
        return {
            "rows": found.embeddings.tolist(),
            "directions": found.scores.tolist() if self._tells else None,
            "weights": np.clip(shares, 0, 1).tolist(),
            "label": label,
        }

    def teach(self, label: str, examples: list[Path], others: list[F32]) -> Path:
        clips = [self.clip(waveform_of(path), 0) for path in examples]
        clips += [self.clip(each[:WINDOW], 1) for each in (*others, np.zeros(WINDOW, np.float32))]
        described, made = self._folder / "clips.json", self._folder / "my-sounds.tflite"
        described.write_text(json.dumps({"clips": clips, "label": label}))
        in_node(_TEACH, self._base, made, described)
        return made


def measure(model: Path, known: tuple[str, ...], head: str | None = None) -> str:
    classifier = oido.AudioClassifier(model, jobs=1, head=head)
    false, seconds, right, own = 0, 0.0, 0, 0
    for row in rows_of("esc10"):
        if int(row["fold"]) <= 3:
            continue
        result = classifier.classify(AUDIO / "esc10" / row["file"])
        labels = [event.label for event in result.events()]
        if row["label"] in known:
            right, own = right + (row["label"] in labels), own + 1
        else:
            false, seconds = false + len(labels), seconds + result.duration
    return f"{false / seconds * 60:6.1f} {right:6d} of {own}"


def clips_of(*labels: str) -> list[tuple[str, Path]]:
    rows = [row for row in rows_of("esc10") if int(row["fold"]) <= 3 and row["label"] in labels]
    return [(row["label"], AUDIO / "esc10" / row["file"]) for row in rows]


def main() -> None:
    dice = np.random.default_rng(0)
    levels = 10 ** dice.uniform(-4, -2.3, MOMENTS)
    quiet = [np.asarray(dice.normal(0, level, WINDOW), np.float32) for level in levels]
    others = rows_of("everyday")[::22][:MOMENTS]
    everyday = [waveform_of(AUDIO / "everyday" / row["file"]) for row in others]
    with tempfile.TemporaryDirectory() as scratch:
        data = oido.Dataset.from_folder(folder_of(Path(scratch, "own"), clips_of(*OWN)))
        more = oido.Dataset.from_folder(folder_of(Path(scratch, "more"), clips_of(*MORE[1:])))
        result = oido.train(data, jobs=1)
        print(f"{'':50}false/min  own class found")
        for unknown in (False, True):
            kind = "with the unknown" if unknown else "scores alone"
            base = Path(scratch, f"{unknown}.tflite")
            result.export(base, unknown=unknown)
            print(f"{'by itself, ' + kind:50}{measure(base, OWN)}", flush=True)
            teacher = Teacher(base, Path(scratch))
            for label in MORE:
                examples = [path for _, path in clips_of(label)][:EXAMPLES]
                for place, moments in (("a quiet room", quiet), ("everyday", everyday)):
                    made = teacher.teach(label, examples, moments)
                    what = f"{label}, beside {place}, {kind}"
                    print(f"{what:50}{measure(made, (*OWN, label))}", flush=True)
            kept = Path(scratch, "kept.tflite")
            oido.train(more, model=base, jobs=1).export(kept, keep_base=True)
            what = f"--keep-base, --head base, {kind}"
            print(f"{what:50}{measure(kept, OWN, 'base')}", flush=True)


if __name__ == "__main__":
    main()
