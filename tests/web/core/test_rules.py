# SPDX-License-Identifier: Apache-2.0
"""JavaScript's rules give what the examples of tests/vectors say, in Node and in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from oido.server.page_files import WEB_FOLDER

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "vectors"
NAMES = [path.stem for path in sorted(VECTORS.glob("*.json"))]


CHANGES = [
    ("level.js", "this.#energy / this.#length", "this.#energy / (this.#length + 1)"),
    ("level.js", "10 ** (-90 / 20)", "10 ** (-80 / 20)"),
    ("stretches.js", "(judged, (db) => db >= high)", "(judged, (db) => db > high)"),
    ("stretches.js", "db >= limitOf(background", "db >= 3 + limitOf(background"),
    ("stretches.js", "place - (inAll - known.length)", "place"),
    ("stretches.js", "BACKGROUND = 300", "BACKGROUND = 290"),
    ("stretches.js", "WARM_UP = 50", "WARM_UP = 49"),
    ("stretches.js", "SHARE = 0.2", "SHARE = 0.25"),
    ("stretches.js", "isSound.length - this.#end >= PAUSE", "isSound.length - this.#end > PAUSE"),
    ("stretches.js", "first - this.#end >= PAUSE", "first - this.#end > PAUSE"),
    ("stretches.js", "SHORTEST = 2", "SHORTEST = 1"),
    ("stretches.js", "end - this.#first > LONGEST", "end - this.#first >= LONGEST"),
    ("stretches.js", "(db) => db <= SILENT_DB", "(db) => db < SILENT_DB"),
    ("stretches.js", "=> end - first >= PAUSE", "=> end - first > PAUSE"),
    ("stretches.js", "last?.[1] === first", "false"),
    ("stretches.js", "end === this.#n ? Infinity : end", "end"),
    ("stretches.js", "=> end > level || end === this.#n", "=> end > level + 20"),
    ("framewise.js", "this.#nextFrame < end", "this.#nextFrame <= end"),
    ("framewise.js", "Math.ceil(nSamples / frame)", "Math.floor(nSamples / frame)"),
    ("framewise.js", "inside >= image", "inside >= image - columnSamples"),
    ("framewise.js", "needed - this.#firstWindow", "needed + 1 - this.#firstWindow"),
    ("framewise.js", "/= Math.max(covering, 1)", "/= 1"),
    ("choice.js", "common < SHARED", "common <= SHARED"),
    ("choice.js", "own < NEAR * its", "own <= NEAR * its"),
    ("stretches.js", "QUIETEST_DB = -75", "QUIETEST_DB = -76"),
    ("choice.js", "its >= HOLDS * own", "its > HOLDS * own"),
    ("choice.js", "own < HOLDS * its", "own <= HOLDS * its"),
    ("choice.js", "known(b) - known(a)", "known(a) - known(b)"),
    ("choice.js", "if (index !== parent.index) parent.also", "parent.also"),
    ("choice.js", "if (this.#keepsAll) return true", "if (false) return true"),
    ("spans.js", "1 - 1 / 1024", "1 - 1 / 256"),
    ("spans.js", "mean / (1 + mean)", "mean / (1.01 + mean)"),
    ("spans.js", "this.strength(span) >= this.on", "this.strength(span) > 1.01 * this.on"),
    ("spans.js", "span.odds += later.odds;", ""),
    ("segmentation.js", "MARGIN_SECONDS = 0.96", "MARGIN_SECONDS = 0.8"),
    ("segmentation.js", "LONG_SECONDS = 3", "LONG_SECONDS = 2.5"),
    ("segmentation.js", "open.isOutside || open.end === start", "open.end === start"),
    ("segmentation.js", "if (active.length) this.#closeUnlessSeen(number);", ""),
    ("segmentation.js", "span.isOutside ? this.#stretchStart : start", "start"),
    ("segmentation.js", "this.#awaits(span) || this.#held.some", "this.#held.some"),
    ("segmentation.js", "from >= this.#stretchEnd + this.#margin && to <= known", "to <= known"),
    ("segmentation.js", "to <= known;", "true;"),
    ("segmentation.js", "active.has(span.index) && ", "false && "),
    ("segmentation.js", "!this.#absences[index] && this.#silences", "this.#silences"),
    ("segmentation.js", "this.#absences[index] ? [] : this.#silences", "this.#silences"),
    ("segmentation.js", "end <= silence && silence <= start", "false"),
    ("segmentation.js", "parts.push([start, silence]);", ""),
    ("segmentation.js", "start = Math.min(sound, end);", "start = end;"),
    ("segmentation.js", "this.#continued(span.index, span.start)", "this.#spans.get(span.index)"),
    ("framewise.js", "if (isPadded) return", "if (false) return"),
    ("framewise.js", "windowSamples > nSamples", "windowSamples >= nSamples"),
    ("framewise.js", "windowSamples > nSamples", "windowSamples > nSamples + hopSamples"),
    ("segmentation.js", "if (!this.#stretches.isSimilar(frame)) return [];", ""),
    ("segmentation.js", " && this.#allowed[index]);", ");"),
    ("pooling.js", "LEAST_SHARE = 1 / 3", "LEAST_SHARE = 1 / 2"),
    ("pooling.js", "row[index] >= this.#off[index]", "row[index] > this.#off[index]"),
    ("pooling.js", "Math.min(span.end, end)", "span.end"),
    ("pooling.js", ">= this.#leastSimilarity;", "> this.#leastSimilarity + 0.2;"),
    (
        "detector.js",
        "span.start - earlier.end <= this.#gap) {",
        "span.start - earlier.end < this.#gap) {",
    ),
    ("detector.js", "- span.end <= this.#gap) continue", "- span.end < this.#gap) continue"),
    ("detector.js", "if (span.end >= end) span.end = nSamples", ""),
    ("detector.js", "return below % 2 === 0 ? below : below + 1", "return below + 1"),
    ("detector.js", 'label === "silence"', "false"),
    ("detector.js", "NON_EVENTS.has(label))", "false)"),
    ("detector.js", "this.#reportsUnknown || span.index", "span.index"),
    ("detector.js", "[...waiting, ...this.#segmenter.begun()]", "[...waiting]"),
    ("thresholds.js", "DEFAULT_THRESHOLD = 0.2", "DEFAULT_THRESHOLD = 0.3"),
    ("windowing.js", "window === 0 ? 0 :", "window < 0 ? 0 :"),
    ("calibration.js", "score < sigmoid.minScore", "score <= sigmoid.minScore"),
    ("calibration.js", "2 * Math.log(SMALLEST_LOG) -", "Math.log(SMALLEST_LOG) -"),
    ("thresholds.js", "value <= 1", "value <= 2"),
    ("head_fit.js", "STRENGTH = 30", "STRENGTH = 33"),
    ("head_fit.js", "SILENCE = 0.1", "SILENCE = 0.12"),
    ("head_fit.js", "PRIOR_CLIPS = 50", "PRIOR_CLIPS = 40"),
    ("head_fit.js", "MOST_STEPS = 1000", "MOST_STEPS = 5"),
    ("head_fit.js", "rows.length > 1 ? 0.5 : 1", "1"),
    ("head_fit.js", "nPresent * counts[label]", "nPresent * 3"),
    ("head_fit.js", "weight / sum : 1 / rows.length", "1 / rows.length : 1"),
    ("head_fit.js", "value >= 0", "value >= -99"),
]
"""A file of core/, a piece of its text that is there once, and what stands there instead."""


def core_copy(folder: Path) -> Path:
    """core/ as Node wants modules: with a package.json that says so."""
    shutil.copytree(WEB_FOLDER / "core", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def in_node(*folders: Path) -> list[list[str]]:
    """What differs in each copy of core/, by one Node: it starts longer than it computes."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js (Debian: apt install nodejs)")
    command = [node, HERE / "rules_in_node.mjs", VECTORS, *folders]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differences: list[list[str]] = json.loads(done.stdout)
    return differences


def test_in_node(tmp_path: Path) -> None:
    assert in_node(core_copy(tmp_path / "core")) == [[]]


@pytest.fixture(scope="module")
def differences_by_change(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What differs where one rule is changed, by the number of the change."""
    scratch = tmp_path_factory.mktemp("changed")
    whole, folders = core_copy(scratch / "core"), []
    for number, (file, rule, changed) in enumerate(CHANGES):
        folders.append(scratch / str(number))
        shutil.copytree(whole, folders[-1], copy_function=os.link)
        (folders[-1] / file).unlink()
        text = (whole / file).read_text(encoding="utf-8")
        (folders[-1] / file).write_text(text.replace(rule, changed), encoding="utf-8")
    return in_node(*folders)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(CHANGES)), ids=lambda n: f"{CHANGES[n][0]}-{n}")
def test_a_changed_rule_is_seen(differences_by_change: list[list[str]], number: int) -> None:
    file, rule, _ = CHANGES[number]
    assert (WEB_FOLDER / "core" / file).read_text(encoding="utf-8").count(rule) == 1
    assert differences_by_change[number] != []


def test_in_chromium(core: Any) -> None:
    examples = {name: json.loads((VECTORS / f"{name}.json").read_text("utf-8")) for name in NAMES}
    code = """async (examples) => {
      const { FILES, differences } = await import("/tests/rules.mjs");
      const loaded = await Promise.all(FILES.map((file) => import(`/core/${file}.js`)));
      return differences({ modules: Object.assign({}, ...loaded), examples });
    }"""
    assert core.evaluate(code, examples) == []
