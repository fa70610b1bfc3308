# SPDX-License-Identifier: Apache-2.0
"""The review's page in Chromium: keys, undo, several people, both languages, a phone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oido.cli.main import run
from oido.search.label_store import Answer, LabelStore
from oido.server.page_files import WEB_FOLDER
from tests.web.browsing import DESKTOP, PHONE, ROOT, STREET, Pages
from tests.web.test_page_access import _violations
from tests.web.warm import WarmPages

pytest.importorskip("duckdb", reason="needs oido[archive]")

from tests.review.archives import tone_archive

TOKEN = "a-long-secret"


class Reviewing:
    """An `oido review` process, or another one that serves a review, and its address."""

    def __init__(self, command: list[str], project: Path) -> None:
        self.project = project
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r"(http://[\d.]+:\d+)", line)
        assert found is not None, line
        self.address = found[1]

    def answers(self) -> list[Answer]:
        with LabelStore(self.project, is_new_allowed=False) as store:
            return store.answers()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        assert self.process.stderr is not None
        self.process.stderr.close()


Start = Callable[..., Reviewing]


@pytest.fixture(scope="session")
def owls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of tones, called owls."""
    return tone_archive(tmp_path_factory.mktemp("owls")).folder


@pytest.fixture
def start(tmp_path: Path, owls: Path) -> Iterator[Start]:
    """Starts reviews; an archive of tones, unless another one is named."""
    running: list[Reviewing] = []

    def begin(*words: str, archive: Path = owls, learns: bool = False) -> Reviewing:
        project = tmp_path / "project.db"
        if learns:
            command = [str(ROOT / "tests/review/start_review.py"), str(archive), str(project)]
        else:
            command = ["-m", "oido", "review", str(archive), "--project", str(project)]
            command += ["--no-browser", "--port", "0", *words]
        running.append(Reviewing(command, project))
        return running[-1]

    yield begin
    for each in running:
        each.stop()


@pytest.fixture
def opening(browser: Any, warm: WarmPages) -> Iterator[Pages]:
    """Opens pages; at the end, none of them may have complained, or asked anyone else."""
    opened = Pages(browser, "", warm)
    yield opened
    opened.close()
    assert opened.unexpected() == []
    assert opened.foreign() == []


@pytest.fixture(scope="session")
def street_archive(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Path:
    """What `oido batch --embeddings` makes of examples/street.flac."""
    folder = tmp_path_factory.mktemp("street") / "results"
    words = ["batch", STREET, "-o", folder, "--embeddings", "-q", "--jobs", "1"]
    assert run([str(word) for word in words]) == 0
    return folder


def ready(page: Any, before: str | None = None) -> str:
    """The id of the place that is shown, with its sound; another one than before."""
    page.wait_for_function(
        "before => document.body.dataset.ready && document.body.dataset.ready !== before",
        arg=before,
    )
    shown: str = page.evaluate("document.body.dataset.ready")
    return shown


def press(page: Any, key: str) -> str:
    """Press it, and wait for the next place."""
    before = ready(page)
    page.keyboard.press(key)
    return ready(page, before)


def stored(page: Any, n: int) -> None:
    """Wait until the server has so many answers of this person."""
    words = "1 answer of yours" if n == 1 else f"{n} answers of yours"
    page.wait_for_selector(f"#progress-text:has-text('{words}')")


def test_a_real_archive_is_played_and_answered(
    start: Start, opening: Pages, street_archive: Path
) -> None:
    review = start("--by", "Ana", "--choose", "top", archive=street_archive)
    page = opening.open(None, address=review.address)
    ready(page)
    page.wait_for_function("() => !document.querySelector('#audio').paused")
    assert re.fullmatch(r"0\.\d\d", page.inner_text("#found"))
    assert "street.flac" in page.inner_text("#place")
    # The picture has sound in it, and the label's scores over it in the accent's colour.
    colours = page.evaluate(
        """() => {
          const canvas = document.querySelector("#picture");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const named = getComputedStyle(document.documentElement).getPropertyValue("--accent");
          const accent = named.trim().match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16));
          const seen = new Set();
          let n = 0;
          for (let i = 0; i < data.length; i += 4) {
            seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
            if (accent.every((value, k) => data[i + k] === value)) n += 1;
          }
          return [seen.size, n];
        }"""
    )
    assert colours[0] > 100
    assert colours[1] > 500
    label = page.inner_text("#question").removesuffix("?")
    press(page, "y")
    stored(page, 1)
    (answer,) = review.answers()
    assert (answer.who, answer.verdict, answer.label) == ("Ana", "yes", label)
    assert answer.value is not None
    assert answer.value > 0.2


def test_all_keys(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl", "--other", "Dog", "--other", "Rain")
    page = opening.open(None, address=review.address)
    first = ready(page)
    second = press(page, "Y")
    third = press(page, "n")
    assert len({first, second, third}) == 3
    fourth = press(page, "u")
    fifth = press(page, "1")
    sixth = press(page, "2")
    stored(page, 5)
    verdicts = [(a.label, a.verdict) for a in review.answers()]
    assert sorted(verdicts) == [
        ("Dog", "yes"),
        ("Owl", "no"),
        ("Owl", "no"),
        ("Owl", "no"),
        ("Owl", "unsure"),
        ("Owl", "yes"),
        ("Rain", "yes"),
    ]
    page.keyboard.press("7")  # there is no such label
    page.keyboard.press("Control+n")
    # Back to what was answered, and on without an answer.
    assert press(page, "k") == fifth
    assert page.inner_text("#verdict") == "You said: No (Rain)"
    assert page.get_attribute("#no", "aria-pressed") == "true"
    assert press(page, "k") == fourth
    assert press(page, "j") == fifth
    assert press(page, "j") == sixth
    passed = sixth
    seventh = press(page, "j")
    assert seventh not in (passed, first)
    # Another answer to the same place counts instead.
    for _ in range(3):
        press(page, "k")
    assert ready(page) == fourth
    page.keyboard.press("y")
    page.wait_for_function("id => document.body.dataset.ready === id", arg=sixth)
    page.wait_for_function(
        "() => document.querySelector('#progress-text').textContent.includes('5 answers')"
    )
    page.wait_for_timeout(200)
    assert {(a.label, a.verdict) for a in review.answers()} == {
        ("Owl", "yes"),
        ("Owl", "no"),
        ("Owl", "unsure"),
        ("Rain", "yes"),
    }
    # Space plays again what is over.
    page.wait_for_function("() => document.querySelector('#audio').paused")
    page.keyboard.press(" ")
    page.wait_for_function("() => !document.querySelector('#audio').paused")


def test_a_key_that_is_held_down_is_one_answer(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl")
    page = opening.open(None, address=review.address)
    before = ready(page)
    for _ in range(5):
        page.keyboard.down("y")
    page.keyboard.up("y")
    ready(page, before)
    stored(page, 1)
    assert len(review.answers()) == 1


def test_undo_goes_back_also_after_a_reload(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl", "--other", "Dog")
    page = opening.open(None, address=review.address)
    first = ready(page)
    second = press(page, "y")
    third = press(page, "1")
    stored(page, 2)
    assert press(page, "z") == second
    stored(page, 1)
    assert page.inner_text("#say") == "Taken back: No to Owl"
    assert [(a.label, a.verdict) for a in review.answers()] == [("Owl", "yes")]
    assert page.inner_text("#verdict") == ""
    page.reload()
    assert ready(page) == second, "what is answered does not come again"
    assert press(page, "z") == first
    page.wait_for_selector("#progress-text:has-text('0 answers of yours')")
    page.keyboard.press("z")
    page.wait_for_selector("#notice-text:has-text('no answer to this review')")
    assert third not in (first, second)
    assert review.answers() == []


def test_more_before_and_behind(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl", "--where", "start_time between 20 and 40")
    page = opening.open(None, address=review.address)
    ready(page)

    def shown() -> tuple[float, float]:
        text = page.get_attribute("#picture", "aria-label")
        found = re.search(r"from 0:([\d.]+) to (\d):([\d.]+)\.", text)
        assert found, text
        return float(found[1]), 60 * float(found[2]) + float(found[3])

    start_at, end_at = shown()
    assert end_at - start_at == pytest.approx(6.0, abs=0.2)
    before = page.get_attribute("#picture", "aria-label")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "old => document.querySelector('#picture').getAttribute('aria-label') !== old", arg=before
    )
    ready(page)
    assert shown() == (pytest.approx(start_at - 5, abs=0.11), pytest.approx(end_at, abs=0.11))
    before = page.get_attribute("#picture", "aria-label")
    page.click("#later")
    page.wait_for_function(
        "old => document.querySelector('#picture').getAttribute('aria-label') !== old", arg=before
    )
    assert shown()[1] == pytest.approx(end_at + 5, abs=0.11)
    # What was widened plays from its beginning.
    page.wait_for_function("() => !document.querySelector('#audio').paused")
    assert page.evaluate("document.querySelector('#audio').currentTime") < 3
    press(page, "y")  # a click leaves the keys to the page
    stored(page, 1)


def test_it_ends_and_passed_over_places_come_at_the_end(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl", "--count", "4")
    page = opening.open(None, address=review.address)
    first = ready(page)
    press(page, "j")
    press(page, "y")
    press(page, "y")
    assert press(page, "y") == first
    page.keyboard.press("n")
    page.wait_for_selector("#done:not([hidden])")
    page.wait_for_selector("#progress-text:has-text('4 of 4 places')")
    assert page.is_hidden("#asked")
    page.click("#more")
    page.wait_for_selector("#done:not([hidden])")
    page.keyboard.press("z")
    assert ready(page) == first
    assert len(review.answers()) == 3


def test_clicks_and_a_sound_that_is_gone(start: Start, opening: Pages, tmp_path: Path) -> None:
    review = start("--by", "Ana", "--label", "Owl", archive=tone_archive(tmp_path).folder)
    shutil.copytree(tmp_path / "rec", tmp_path / "kept")
    for path in (tmp_path / "rec").rglob("*.wav"):
        path.unlink()
    opening.expected.append("status of 422")
    page = opening.open(None, address=review.address)
    before = ready(page)
    text = page.inner_text("#sound-text")
    assert text.startswith("Its sound cannot be played: ")
    assert "is not at" in text
    shutil.copytree(tmp_path / "kept", tmp_path / "rec", dirs_exist_ok=True)
    page.keyboard.press("Space")  # put back, it is played
    page.wait_for_selector("#sound-text", state="hidden")
    page.click("#unsure")
    before = ready(page, before)
    page.click("#others button >> nth=0")
    ready(page, before)
    stored(page, 2)
    assert sorted(a.verdict for a in review.answers()) == ["no", "unsure", "yes"]


def test_answers_that_cannot_be_stored_wait(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl")
    page = opening.open(None, address=review.address)
    ready(page)
    opening.expected += ["status of 400", "status of 503"]
    page.route(
        "**/v1/review/answer",
        lambda route: route.fulfill(
            status=400,
            json={"error": "OptionError", "message": "project.db: another program holds it"},
        ),
    )
    press(page, "y")
    page.wait_for_selector("#notice-retry:not([hidden])")
    assert page.inner_text("#notice-text") == (
        "project.db: another program holds it 1 answer is not stored yet."
    )
    press(page, "n")
    page.wait_for_selector("#notice-text:has-text('2 answers are not stored yet.')")
    third = press(page, "y")
    page.wait_for_selector("#notice-text:has-text('3 answers')")
    assert review.answers() == []
    assert press(page, "z") != third  # of what was not stored, too
    page.unroute("**/v1/review/answer")
    page.click("#notice-retry")
    stored(page, 2)
    page.wait_for_selector("#notice", state="hidden")
    assert [a.verdict for a in review.answers()] == ["yes", "no"]

    # The server is gone.
    opening.expected.append("net::ERR_")
    review.stop()
    page.keyboard.press("y")
    page.wait_for_selector("#notice-text:has-text('Is it still running?')")


def test_a_store_that_another_program_holds(start: Start, opening: Pages) -> None:
    """The real lock: the answer waits for it."""
    review = start("--by", "Ana", "--label", "Owl")
    page = opening.open(None, address=review.address)
    ready(page)
    other = sqlite3.connect(review.project, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    press(page, "y")
    page.wait_for_timeout(500)
    other.execute("ROLLBACK")
    other.close()
    stored(page, 1)
    assert len(review.answers()) == 1


def test_two_people_by_a_token(start: Start, opening: Pages) -> None:
    review = start("--label", "Owl", "--token", TOKEN, "--opinions", "2", "--count", "6")
    opening.expected.append("status of 401")

    def sign_in(name: str, token: str) -> Any:
        page = opening.open(None, address=review.address)
        page.wait_for_selector("#sign-in:not([hidden])")
        page.fill("#name", name)
        page.fill("#token", token)
        page.keyboard.press("Enter")
        return page

    ana = sign_in("Ana", "wrong-secret")
    ana.wait_for_selector("#notice-text:text-is('That is not the token of this server.')")
    assert ana.is_hidden("#asked")
    assert ana.evaluate("document.activeElement.id") == "token"
    ana.fill("#token", TOKEN)
    ana.keyboard.press("Enter")
    first = ready(ana)
    for _ in range(5):
        press(ana, "y")
    ana.keyboard.press("y")
    ana.wait_for_selector("#done:not([hidden])")
    bo = sign_in("Bo", TOKEN)
    assert ready(bo) == first
    assert bo.inner_text("#who") == "Bo"
    press(bo, "y")
    press(bo, "n")
    stored(bo, 2)
    ana.click("#more")
    text = "1 of 2 places that several people answered have the same answer"
    bo.keyboard.press("u")
    stored(bo, 3)
    page = sign_in("Ana", TOKEN)
    page.wait_for_selector(f"#agreement:has-text('{text}')")
    assert {a.who for a in review.answers()} == {"Ana", "Bo"}


def test_it_shows_what_is_learnt(start: Start, opening: Pages, tmp_path: Path) -> None:
    review = start(learns=True)
    page = opening.open(None, address=review.address)
    ready(page)
    page.wait_for_selector("#learning-text:has-text('From 0 answers')")
    assert page.is_hidden("#curve")
    for n in range(14):
        press(page, "y" if n % 2 else "n")
    page.wait_for_selector("#learning-text:has-text('From 10 answers, 5 of them yes.')")
    assert page.text_content("#advice") == "every place of the archive was asked about"
    assert page.get_attribute("#advice", "data-finished") == "true"
    assert page.is_visible("#curve")
    points = page.get_attribute("#curve polyline", "points").split()
    assert len(points) == 3
    assert points[0] == "6,74"
    page.click("#export")
    page.wait_for_selector("#notice-text:has-text('owl.tflite')")
    page.keyboard.press("Escape")
    assert page.is_hidden("#notice")
    assert (tmp_path / "owl.tflite").read_text() == "learnt"
    assert page.is_hidden("#progress-bar")
    page.click("#language")  # what it advises, in the other language, too
    page.wait_for_selector("#advice:has-text('todos los lugares del archivo sonoro')")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_no_button_touches_another(start: Start, opening: Pages, size: dict[str, int]) -> None:
    names = [word for label in "abcdefghi" for word in ("--other", f"{label} " * 12)]
    review = start("--by", "Ana", "--label", "Owl", *names)
    page = opening.open(None, address=review.address, size=size)
    ready(page)
    touching = page.evaluate(
        """() => {
          const buttons = [...document.querySelectorAll("#asked button")];
          const boxes = buttons.map((button) => button.getBoundingClientRect());
          const gap = (a, b) => Math.max(
            a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom);
          const near = (a, n) => boxes.slice(n + 1).filter((b) => gap(a, b) < 4);
          return boxes.flatMap(near).length;
        }"""
    )
    assert touching == 0


def test_spanish_and_a_phone(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl")
    page = opening.open(None, address=review.address, size=PHONE, language="es-MX")
    ready(page)
    assert page.title() == "oido: revisión"
    assert page.inner_text("#question") == "¿Búho, lechuza?"
    assert page.inner_text("#yes") == "Sí"
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]
    # The answers are on the screen without scrolling, and large enough for a thumb.
    box = page.locator("#yes").bounding_box()
    assert box["y"] + box["height"] <= PHONE["height"]
    assert box["height"] >= 44
    page.click("#yes")
    page.wait_for_selector("#progress-text:has-text('1 respuesta tuya')")
    page.click("#language")
    page.wait_for_selector("#question:has-text('Owl?')")
    assert page.inner_text("#yes") == "Yes"
    page.reload()
    ready(page)
    assert page.inner_text("#question") == "Owl?", "the language is remembered"


@pytest.mark.slow
def test_axe_finds_nothing_serious(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl", "--other", "Dog", "--count", "2")
    page = opening.open(None, address=review.address)
    press(page, "1")
    press(page, "k")
    assert _violations(page) == []  # an answered place
    learning = start(learns=True)
    page = opening.open(None, address=learning.address)
    for _ in range(7):
        press(page, "y")
    page.wait_for_selector("#curve:not([hidden])")
    assert _violations(page, ["dark"]) == []
    shared = start("--label", "Owl", "--token", TOKEN)
    page = opening.open(None, address=shared.address, size=DESKTOP)
    page.wait_for_selector("#sign-in:not([hidden])")
    assert _violations(page, ["light"]) == []


def test_both_languages_say_everything(start: Start, opening: Pages) -> None:
    review = start("--by", "Ana", "--label", "Owl")
    page = opening.open(None, address=review.address)
    words = page.evaluate("async () => (await import('./review/words.js')).REVIEW_WORDS")
    shared = page.evaluate("async () => (await import('./ui/words.js')).WORDS")
    gaps = re.compile(r"\{\w+\}")
    assert set(words) == {"en", "es"}
    assert set(words["en"]) == set(words["es"])
    for key, text in words["en"].items():
        assert text.strip()
        assert sorted(gaps.findall(text)) == sorted(gaps.findall(words["es"][key])), key
    sources = [p for p in (WEB_FOLDER / "review").iterdir() if p.name != "words.js"]
    texts = "\n".join(path.read_text("utf-8") for path in sources)
    used = set(re.findall(r'data-t(?:-label)?="(\w+)"', texts))
    used |= set(re.findall(r'\bt\("(\w+)"', texts))
    assert used - set(words["en"]) - set(shared["en"]) == set()
    said = used | set(re.findall(r'"(\w+)"', texts)) | {"title"}
    assert set(words["en"]) - said == set()
