# SPDX-License-Identifier: Apache-2.0
"""Windows to be reviewed: of every score, with weights that stand for all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from oido.errors import OptionError
from oido.models.model import AudioModel
from oido.results import Results
from oido.results.window_sample import chosen_windows
from oido.results.window_scores import open_head
from tests.results.owl_archives import OwlArchive, make_owls, owl_file


@pytest.fixture(scope="module")
def owls(tmp_path_factory: pytest.TempPathFactory) -> OwlArchive:
    return make_owls(tmp_path_factory.mktemp("owls") / "results", 0.1, sites=2, windows=64)


def test_each_half_of_what_is_above_gives_as_many(
    owls: OwlArchive, model: AudioModel, tmp_path: Path
) -> None:
    path = owl_file(tmp_path / "owl.tflite", model)
    with Results(owls.folder) as results:
        head = open_head(results, path)[1]
        found = chosen_windows(results, "owl", 32, "stratified", head=head)
        again = chosen_windows(results, "owl", 32, "stratified", head=head)
        other = chosen_windows(results, "owl", 32, "stratified", head=head, seed=1)
        best = chosen_windows(results, "owl", 5, head=head)
        any_ones = chosen_windows(results, "owl", 16, "random", head=head)
        with pytest.raises(OptionError, match="1 clip or more"):
            chosen_windows(results, "owl", 0, head=head)
    assert found == again
    assert found != other
    assert {each.choice for each in found} == {"stratified"}
    assert {each.site for each in found} == {"site0", "site1"}
    counts = Counter(each.stratum for each in found)
    assert max(counts.values()) - min(counts[n] for n in (1, 2, 3, 4)) <= 1
    # 256 windows: what was chosen stands for each of them once.
    assert sum(each.weight for each in found) == pytest.approx(256)
    values = [each.value for each in found]
    assert values == sorted(values, reverse=True)
    np.testing.assert_allclose(
        [each.value for each in best], np.sort(1 / (1 + np.exp(-owls.logits)))[::-1][:5], atol=1e-4
    )
    assert sum(each.weight for each in any_ones) == pytest.approx(256)
    assert best[0].location == f"/archive/{best[0].recording}"
    assert best[0].duration > 30
