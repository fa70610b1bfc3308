# SPDX-License-Identifier: Apache-2.0
"""`oido adapt`: figures of each candidate, and a file only where one is adopted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from oido.cli import adapt
from oido.cli.terminal import EXIT_FATAL
from oido.errors import OptionError
from oido.evaluation.bootstrap import Estimate
from oido.messages import tr
from oido.models.model import AudioModel
from tests.results.owl_archives import make_owls, owl_file, review
from tests.results.results_folders import run as run_command
from tests.results.test_adapting import sampled


def test_adopted_or_kept(
    model: AudioModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = make_owls(tmp_path / "results", 0.05, windows=120)
    path, out = owl_file(tmp_path / "owl.tflite", model), tmp_path / "adapted.tflite"
    order = np.argsort(-archive.logits)
    labels = review(archive, tmp_path / "project.db", sampled(archive, 240))
    words = (archive.folder, str(path), "--labels", str(labels), "-o", str(out))
    assert run_command(adapt, *words) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert re.fullmatch(r"reviews: \d+, at sites: 6; windows drawn: \d+", lines[0])
    assert lines[1].startswith("  as it was: log loss ")
    assert lines[-1].startswith("chosen at other sources: log loss less by ")
    assert "oido: adopted: " in printed.err
    assert out.stat().st_size > 1_000_000
    few = review(archive, tmp_path / "few.db", order[:10])
    kept = tmp_path / "kept.tflite"
    assert run_command(adapt, *words[:3], str(few), "-o", str(kept)) == EXIT_FATAL
    assert "kept as it was: too few reviews to judge by: 10, " in capsys.readouterr().err
    assert not kept.exists()


def test_words_that_make_no_sense(tmp_path: Path) -> None:
    words = (str(tmp_path), "owl.tflite", "--labels", "project.db", "-o")
    with pytest.raises(OptionError, match="-o needs a name"):
        run_command(adapt, *words, str(tmp_path / "owl.onnx"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Estimate(0.02, 0.01, 0.03), "more by 0.020 (0.010 to 0.030)"),
        (Estimate(-0.02, -0.03, 0.01), "less by 0.020 (-0.010 to 0.030)"),
        (Estimate(-0.0002, -0.0004, 0.0004), "equal (0.000 to 0.000)"),
        (Estimate(-0.0), "equal"),
        (Estimate(-0.25), "less by 0.250"),
        (Estimate(float("nan")), "more by –"),
    ],
)
def test_a_change_is_said_with_its_direction(change: Estimate, said: str) -> None:
    assert adapt._change(change, tr("more by {by}"), tr("less by {by}")) == said
