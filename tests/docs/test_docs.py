# SPDX-License-Identifier: Apache-2.0
"""Every example of the docs runs as it stands; links lead somewhere; the reference is fresh."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from oido.cli.main import run
from oido.models.loading import load_model
from tests.training.taught_sounds import make_sounds

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("benchmarks/*.md")])
NOT_RUN = (
    "make ",
    ".venv/bin/activate",
    "YOUR-",
    "TU-",
    "yamnet.tflite",
    "birds.tflite",
    "benchmarks/run.py",
    "homeassistant.local",
    "oido serve --demo",
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.M)


def pages_with(language: str) -> Iterator[Any]:
    """The README's own are not slow. Spanish pages have the code of the English ones, which
    test_translations.py holds."""
    for page in PAGES:
        is_spanish = ROOT / "docs" / "es" in page.parents or page.name.endswith(".es.md")
        if blocks(page, language) and not is_spanish:
            marks = [] if page.parent == ROOT else [pytest.mark.slow]
            yield pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples speak of."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "README.md", tmp_path)
    for folder in ("recordings", "field/day one"):
        no_sounds = shutil.ignore_patterns("sounds")
        shutil.copytree(ROOT / "examples", tmp_path / folder, ignore=no_sounds)
    make_video(tmp_path / "talk.mp4")
    samples, rate = soundfile.read(ROOT / "examples" / "street.flac", dtype="int16")
    soundfile.write(tmp_path / "street.wav", samples, rate)
    shutil.copy(load_model("yamnet/classification").path, tmp_path / "yamnet.tflite")
    make_sounds(tmp_path / "sounds", each=4)
    make_sounds(tmp_path / "held-out", each=2, seed=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = container.add_stream("aac", rate=16_000, layout="mono")
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        noise = np.random.default_rng(0).integers(-9000, 9000, (1, 32_000)).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
        sound.sample_rate = 16_000
        for packets in (video.encode(None), audio.encode(sound), audio.encode(None)):
            container.mux(packets)


@pytest.mark.parametrize("page", list(pages_with("python")))
def test_python_examples_run(page: Path, desk: Path) -> None:
    if "oido.torch" in page.read_text("utf-8"):
        pytest.importorskip("torch", reason="the page needs oido[torch]")
    for name in ("pandas", "matplotlib") if page.name == "notebooks.md" else ():
        pytest.importorskip(name, reason=f"the page needs {name}")
    if "oido.results" in page.read_text("utf-8"):
        assert run(["batch", "recordings/", "-o", "results/", "-q", "--embeddings"]) == 0
    namespace: dict[str, Any] = {}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", list(pages_with("sh")))
def test_shell_examples_run(page: Path, desk: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for code in blocks(page, "sh"):
        lines = [line for line in code.splitlines() if not any(mark in line for mark in NOT_RUN)]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """Those that a forge gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
    names = re.findall(r"^#+ (.*)$", text, re.M)
    names = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", name).lower() for name in names]
    return {re.sub(r"[^\w\- ]", "", name).strip().replace(" ", "-") for name in names}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_anchors_lead_somewhere(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", page.read_text("utf-8")):
        target = page.parent / name if name else page
        assert anchor in anchors(target), f"{page.name} links to {name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rows_of_tables_have_the_cells_of_their_heads(page: Path) -> None:
    """A bar that is no end of a cell has a backslash before it."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        bars = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
        assert len(set(bars)) == 1, table.splitlines()[bars.index(max(bars))]


def test_the_command_line_reference_is_as_help_shows_it() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    assert "such as %Y%m%d_%H%M%S" in page
    assert "%%" not in page


def test_the_command_line_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_python_names_are_documented_with_their_parameters() -> None:
    """`name(parameters)` at the start of a row; `.name` is of the class above it, … is more."""
    page = (ROOT / "docs/reference/python.md").read_text("utf-8")
    owner, seen = None, set()
    for row in re.findall(r"^\| (`.*?) \| ", page, re.M):
        for name, listed in re.findall(r"`(\.?[A-Za-z_.]+)(?:\(([^)]*)\))?`", row):
            if not name.startswith("."):
                called = owner = pkgutil.resolve_name(f"oido.{name.removeprefix('oido.')}")
            elif listed:
                called = getattr(owner, name[1:])
            if not listed:
                continue
            parameters = [p for p in inspect.signature(called).parameters if p != "self"]
            said = listed.split(", ")
            if said[-1] == "…":
                said.pop()
                parameters = parameters[: len(said)]
            assert said == parameters, name
            seen.add(name)
    assert {"AudioClassifier", "train", "evaluate", "export", "Row", ".plot"} <= seen


def test_every_format_and_error_is_documented() -> None:
    from oido import errors
    from oido.writers.formats import FORMATS

    formats = (ROOT / "docs/reference/formats.md").read_text("utf-8")
    assert all(f"`{entry.name}`" in formats for entry in FORMATS)
    page = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    names = [
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.OidoError)
    ]
    assert len(names) >= 16
    assert all(f"`{name}`" in page or f"`oido.{name}`" in page for name in names)


def test_the_rooms_are_documented() -> None:
    text = (ROOT / "docs/concepts/architecture.md").read_text("utf-8")
    rooms = [p.name for p in (ROOT / "src/oido").iterdir() if p.is_dir() and p.name[0] != "_"]
    assert all(f"`{room}/`" in text for room in rooms)
