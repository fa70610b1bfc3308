# SPDX-License-Identifier: Apache-2.0
"""Model files that are not what they should be: one sentence each, and never anything else."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oido.inference.export import export
from oido.models.model import AudioModel

_READ = """async ({ count, flips }) => {
  const { readModel } = await import("/core/model.js");
  const load = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  const good = flips && await load("/bad-0");
  const told = [];
  for (let number = 0; number < count; number++) {
    const bytes = flips ? good.slice() : await load(`/bad-${number}`);
    if (flips) bytes[flips[number][0]] ^= flips[number][1];
    try {
      const { head, windowing } = await readModel(bytes);
      told.push({ labels: head.labels.length, windowing });
    } catch (error) {
      told.push({ name: error.name, kind: error.kind ?? null, message: error.message });
    }
  }
  return told;
}"""


def read(core: Any, files: dict[str, bytes | Path], contents: list[bytes]) -> list[dict[str, Any]]:
    for number, content in enumerate(contents):
        files[f"bad-{number}"] = content
    told: list[dict[str, Any]] = core.evaluate(_READ, {"count": len(contents)})
    for number in range(len(contents)):
        del files[f"bad-{number}"]
    return told


def read_damaged(
    core: Any, files: dict[str, bytes | Path], content: bytes, flips: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Of one file, with these bits of a byte turned over: (place, bits)."""
    files["bad-0"] = content
    told: list[dict[str, Any]] = core.evaluate(_READ, {"count": len(flips), "flips": flips})
    del files["bad-0"]
    return told


def test_what_is_no_model_of_ours_is_told(
    core: Any, files: dict[str, bytes | Path], model: AudioModel
) -> None:
    good = model.path.read_bytes()
    cases = {
        b"": "is no .tflite file",
        b"\0\0\0\0TFL3": "its graph makes no sense",
        good[:100_000]: "its graph makes no sense",
        good.replace(b"TFLITE_METADATA", b"TFLITE_METADATE"): "it has no metadata",
        good.replace(b"M001", b"M002", 1): "not in the known format (M001)",
        good.replace(b"TFL3", b"TFL2", 1): "is no .tflite file",
    }
    told = read(core, files, list(cases))
    for found, part in zip(told, cases.values()):
        assert found["kind"] == "ModelFormatError"
        assert part in found["message"]


def test_damage_is_an_error_of_ours_or_harmless(
    core: Any, files: dict[str, bytes | Path], taught: Path
) -> None:
    good = taught.read_bytes()
    dice = np.random.default_rng(8)
    # Where it counts: the tables of the graph at both ends, the metadata, the packed files.
    metadata = good.index(b"M001")
    places = [*dice.integers(0, 4_000, 10), *dice.integers(metadata - 4, metadata + 2_000, 20)]
    places += [*dice.integers(len(good) - 9_000, len(good), 30)]
    flips = [(int(place), int(dice.integers(1, 256))) for place in places]
    told = read_damaged(core, files, good, flips)
    refused = [each for each in told if "message" in each]
    assert [each for each in refused if each["kind"] != "ModelFormatError"] == []
    assert 5 < len(refused) < len(told)


def test_the_files_that_are_packed_are_those_that_python_finds(
    core: Any, files: dict[str, bytes | Path], taught: Path, model: AudioModel
) -> None:
    code = """async () => {
      const { packedFiles } = await import("/core/archive.js");
      const bytes = new Uint8Array(await (await fetch("/packed")).arrayBuffer());
      return [...(await packedFiles(bytes))].map(([name, content]) => [name, [...content]]);
    }"""
    for path in (taught, model.path):
        files["packed"] = path
        found = {name: bytes(content) for name, content in core.evaluate(code)}
        with zipfile.ZipFile(path) as archive:
            assert found == {name: archive.read(name) for name in archive.namelist()}
    assert len(found) == 1


def test_a_model_that_cannot_be_fetched_is_told(core: Any) -> None:
    code = """async () => {
      const { openDevice } = await import("/core/device_engine.js");
      try {
        await openDevice({ modelUrl: "/nowhere.tflite" });
      } catch (error) {
        return { kind: error.kind, message: error.message };
      }
    }"""
    told = core.evaluate(code)
    assert told["kind"] == "ModelFetchError"
    assert "/nowhere.tflite could not be fetched (404" in told["message"]


@pytest.mark.parametrize("when", ["before", "midway"])
def test_hearing_can_be_given_up(
    core: Any, files: dict[str, bytes | Path], litert_js: Path, model: AudioModel, when: str
) -> None:
    files["model.tflite"] = model.path
    code = """async (when) => {
      const { openDevice } = await import("/core/device_engine.js");
      const engine = await openDevice({ modelUrl: "/model.tflite" });
      const given = new AbortController();
      const shares = [];
      if (when === "before") given.abort();
      const onProgress = (share) => { shares.push(share); given.abort(); };
      const { signal } = given;
      const hearing = engine.hear(new Float32Array(16000 * 60), { signal, onProgress });
      const kind = await hearing.catch((error) => error.kind);
      engine.close();
      const closed = await engine.hear(new Float32Array(16000)).catch((error) => error.kind);
      return { kind, shares: shares.length, closed };
    }"""
    told = core.evaluate(code, when)
    assert told == {"kind": "AbortError", "shares": int(when == "midway"), "closed": "AbortError"}


def test_progress_is_of_all_that_is_fetched(
    core: Any, files: dict[str, bytes | Path], litert_js: Path, model: AudioModel
) -> None:
    files["model.tflite"] = model.path
    code = """async (modelLength) => {
      const { openDevice } = await import("/core/device_engine.js");
      const shares = [];
      const onProgress = (share) => shares.push(share);
      const engine = await openDevice({ modelUrl: "/model.tflite", modelLength, onProgress });
      engine.close();
      return shares;
    }"""
    size = model.path.stat().st_size
    runtime = (litert_js / "litert_wasm_internal.wasm").stat().st_size
    shares = core.evaluate(code, size)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert shares[-2] == pytest.approx(0.99, abs=0.02)
    # The runtime is the larger part: the bar moves over its share of the way, too.
    beyond = [share for share in shares if size / (size + runtime) + 0.05 < share < 0.9]
    assert len(beyond) > 3


_HEADS = """async () => {
  const { readModel } = await import("/core/model.js");
  const bytes = new Uint8Array(await (await fetch("/framewise")).arrayBuffer());
  const { heads, outputs } = await readModel(bytes);
  return { heads, numbers: outputs.map((output) => output.number) };
}"""


def test_framewise_outputs_are_no_heads(
    core: Any, files: dict[str, bytes | Path], model: AudioModel, tmp_path: Path
) -> None:
    path = tmp_path / "framewise.tflite"
    export(model, path, framewise=True)
    files["framewise"] = path
    assert core.evaluate(_HEADS) == {"heads": ["scores"], "numbers": [0]}
