# SPDX-License-Identifier: Apache-2.0
"""The review over HTTP: what its page asks, who may, and what goes wrong."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

pytest.importorskip("starlette")

from oido.errors import OptionError
from oido.messages import in_language
from oido.results import Results
from oido.review.app import create_review_app
from oido.review.page import review_page_files
from oido.review.queues import QueueChoice, make_queue
from oido.review.session import ReviewSession, ReviewSettings
from oido.search.label_store import LabelStore
from oido.server.page_files import WEB_FOLDER, modules_of, page_files
from oido.server.settings import Settings
from tests.asynchronous import run_async
from tests.review.archives import tone_archive
from tests.review.test_session import Learner

TOKEN = "a-long-secret"


class AsgiClient:
    """Requests to an application in this process, each answered before the next."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def get(self, url: str, **options: Any) -> httpx.Response:
        return run_async(self._request("GET", url, options))

    def post(self, url: str, **options: Any) -> httpx.Response:
        return run_async(self._request("POST", url, options))

    def close(self) -> None:
        async def end() -> None:
            async with self._app.router.lifespan_context(self._app):
                pass

        run_async(end())

    async def _request(self, method: str, url: str, options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, url, **options)


Client = Callable[..., AsgiClient]


@pytest.fixture
def client(results: Results, tmp_path: Path) -> Iterator[Client]:
    """Makes a client of a review of the best owls; the second recording is there no more."""
    started: list[AsgiClient] = []

    def start(token: str | None = None, learns: bool = False, **options: Any) -> AsgiClient:
        def open_session() -> ReviewSession:
            store = LabelStore(tmp_path / "project.db")
            choice = QueueChoice("Owl", choice="top", count=30)
            source = Learner(store) if learns else make_queue(results, choice)
            facts = {"others": ("Dog", "Rain"), "by": "Ana", **options}
            return ReviewSession(results, store, source, ReviewSettings("top", "q", **facts))

        host = "127.0.0.1" if token is None else "0.0.0.0"
        app = create_review_app(open_session, Settings(host=host, token=token))
        started.append(AsgiClient(app))
        return started[-1]

    yield start
    for each in started:
        each.close()


def post(client: AsgiClient, what: str, **body: Any) -> Any:
    answer = client.post(f"/v1/review/{what}", json={"who": "Ana", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_ask_answer_and_undo(client: Client, tmp_path: Path) -> None:
    page = client()
    about = page.get("/review.json").json()
    assert (about["by"], about["others"], about["token"]) == ("Ana", ["Dog", "Rain"], False)
    asked = post(page, "next", count=3)
    first, second, third = asked["items"]
    assert first["recording"] == "gone/c.wav"
    assert (second["label"], second["duration"]) == ("Owl", 60.0)
    assert second["scores"]
    assert asked["progress"]["total"] == 30
    assert third["startAt"].startswith("2023-10-15T06:3") or second["startAt"]
    state = post(page, "answer", id=first["id"], verdict="unsure")
    assert (state["progress"]["done"], state["progress"]["yours"]) == (1, 1)
    post(page, "answer", id=second["id"], verdict="no", label="Dog")
    undone = post(page, "undo")
    assert [item["id"] for item in undone["items"]] == [second["id"]]
    assert page.get("/v1/review/progress?who=Ana").json()["progress"]["yours"] == 1
    assert post(page, "undo")["items"][0]["id"] == first["id"]
    assert post(page, "undo")["items"] == []
    with LabelStore(tmp_path / "project.db") as store:
        assert len(store.history()) == 6
        assert store.answers() == []


def test_the_sound_of_a_place(client: Client, results: Results) -> None:
    page = client()
    items = post(page, "next", count=5)["items"]
    item = next(item for item in items if item["recording"].startswith("south"))
    span = {"id": item["id"], "start": item["start"], "end": item["start"] + 2}
    answer = page.get("/v1/review/sound", params=span)
    assert answer.headers["content-type"] == "audio/wav"
    wave, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    whole, own = soundfile.read(
        Path(results.url).parent / "rec" / item["recording"], dtype="float32"
    )
    start = round(round(item["start"], 3) * own)
    assert rate == own
    np.testing.assert_allclose(wave, whole[start : start + len(wave)], atol=2e-4)
    assert len(wave) == pytest.approx(2 * own, abs=2)
    beyond = page.get("/v1/review/sound", params={**span, "end": 75.0})
    assert beyond.status_code == 200
    assert soundfile.info(io.BytesIO(beyond.content)).duration == pytest.approx(
        60.0 - item["start"], abs=0.01
    )


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"id": "0" * 16}, 400, "reload the page"),
        ({"start": "x"}, 400, "in seconds"),
        ({"start": "nan"}, 400, "around the place"),
        ({"end": "400"}, 400, None),
        ({"start": "-3"}, 400, "longer than 0 s"),
    ],
)
def test_spans_that_are_none(client: Client, change: Any, status: int, said: str | None) -> None:
    page = client()
    item = post(page, "next", count=2)["items"][1]
    span = {"id": item["id"], "start": 1.0, "end": 2.0, **change}
    answer = page.get("/v1/review/sound", params=span)
    if said is not None:
        assert answer.status_code == status
        assert said in answer.json()["message"]
    else:
        assert answer.status_code == 200  # to the recording's end


def test_a_recording_that_is_gone_is_a_sentence(client: Client) -> None:
    page = client()
    item = post(page, "next", count=1)["items"][0]
    answer = page.get("/v1/review/sound", params={"id": item["id"], "start": 0.5, "end": 2.5})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(
        "gone/c.wav: is not at /archive/gone/c.wav any more; put it back"
    )
    with in_language("es"):
        answer = page.get("/v1/review/sound", params={"id": item["id"], "start": 1, "end": 2})
    assert "gone/c.wav" in answer.json()["message"]
    assert "any more" not in answer.json()["message"]


@pytest.mark.parametrize(
    ("what", "body", "said"),
    [
        ("next", {"count": 0}, "from 1 to"),
        ("next", {"count": "3"}, "from 1 to"),
        ("next", {"held": [3]}, "list of ids"),
        ("next", {"who": " "}, "a name of"),
        ("next", {"who": "x" * 81}, "a name of"),
        ("answer", {"id": "0" * 16, "verdict": "maybe"}, "yes, no or unsure"),
        ("answer", {"id": "0" * 16, "verdict": "no", "label": "Cat"}, "one of the others"),
        ("answer", {"id": "0" * 16, "verdict": "yes", "label": "Dog"}, "one of the others"),
        ("answer", {"id": "0" * 16, "verdict": "yes"}, "reload the page"),
        ("undo", {"who": None}, "a name of"),
        ("export", {}, "--learn owl"),
    ],
)
def test_requests_that_make_no_sense(client: Client, what: str, body: Any, said: str) -> None:
    answer = client().post(f"/v1/review/{what}", json={"who": "Ana", **body})
    assert answer.status_code == 400
    assert said in answer.json()["message"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'"x"'])
def test_bodies_that_are_no_object(client: Client, content: bytes) -> None:
    answer = client().post("/v1/review/next", content=content)
    assert (answer.status_code, answer.json()["error"]) == (400, "ProtocolError")


def test_half_a_character_and_too_much(client: Client) -> None:
    page = client()
    half = page.post("/v1/review/next", content=b'{"who": "\\ud800", "count": 1}')
    assert half.status_code == 400
    assert page.post("/v1/review/next", content=b" " * 70_000).status_code == 413


def test_a_locked_store_is_a_sentence_and_loses_nothing(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oido.search.label_store._WAIT_SECONDS", 0.1)
    page = client()
    key = post(page, "next", count=1)["items"][0]["id"]
    other = sqlite3.connect(tmp_path / "project.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    refused = page.post("/v1/review/answer", json={"who": "Ana", "id": key, "verdict": "yes"})
    assert refused.status_code == 400
    assert "another program holds it" in refused.json()["message"]
    other.execute("ROLLBACK")
    other.close()
    assert post(page, "answer", id=key, verdict="yes")["progress"]["yours"] == 1


def test_two_reviews_write_into_one_store(client: Client, tmp_path: Path) -> None:
    one, other = client(), client()
    for n in range(6):
        page, who = (one, "Ana") if n % 2 else (other, "Bo")
        item = post(page, "next", who=who, count=1)["items"][0]
        post(page, "answer", who=who, id=item["id"], verdict="yes")
    with LabelStore(tmp_path / "project.db") as store:
        places = [answer.place for answer in store.answers()]
    assert len(places) == len({*places}) == 6
    assert post(one, "next", count=1)["progress"]["people"] == 2


def test_the_token_is_wanted_of_everything_but_the_page(client: Client) -> None:
    page = client(token=TOKEN, by=None)
    assert page.get("/").status_code == 200
    assert page.get("/review.json").json()["token"] is True
    for answer in (
        page.post("/v1/review/next", json={"who": "Ana"}),
        page.get("/v1/review/sound?id=0&start=0&end=1"),
        page.get("/v1/review/progress?who=Ana"),
        page.post("/v1/review/undo", json={}, headers={"Authorization": "Bearer wrong-secret"}),
    ):
        assert answer.status_code == 401
        assert "token" in answer.json()["message"]
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert page.post("/v1/review/next", json={"who": "Bo"}, headers=right).status_code == 200


def test_whatever_names_no_icon_finds_it(client: Client) -> None:
    page = client(token=TOKEN)
    assert page.get("/favicon.ico").headers["location"] == "icons/icon.svg"
    assert page.get("/icons/icon.svg").headers["content-type"] == "image/svg+xml"


def test_no_other_page_may_use_it(client: Client) -> None:
    page = client()
    foreign = page.post("/v1/review/next", json={}, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    renamed = page.get("/", headers={"Host": "evil.example"})
    assert renamed.status_code == 403


def test_what_is_learnt(client: Client, tmp_path: Path) -> None:
    page = client(learns=True, export=tmp_path / "owl.tflite")
    assert page.get("/review.json").json()["learns"] is True
    state = post(page, "next", count=2)
    assert state["learning"] == {
        "answers": 0,
        "positives": 0,
        "curve": [[0.0, 0.0]],
        "finished": False,
        "advice": "go on",
    }
    assert state["progress"]["total"] is None
    for _ in range(5):
        item = post(page, "next", count=1)["items"][0]
        post(page, "answer", id=item["id"], verdict="yes")
    assert post(page, "next", count=1)["learning"]["curve"] == [[0.0, 0.0], [5.0, 0.25]]
    assert post(page, "export")["file"] == str(tmp_path / "owl.tflite")


def test_the_pages_files_are_those_that_it_needs(client: Client, tmp_path: Path) -> None:
    page = client()
    files = review_page_files()
    assert {"style.css", "review/main.js", "ui/spectrogram.js", "core/wav.js"} < set(files)
    assert not {"app.js", "sw.js", "core/device_engine.js"} & set(files)
    for url in files:
        answer = page.get(f"/{url}")
        assert answer.status_code == 200, url
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert page.get("/app.js").status_code == 404
    scripts = {path.relative_to(WEB_FOLDER).as_posix(): path for path in WEB_FOLDER.rglob("*.js")}
    assert len(modules_of(scripts, "review/main.js")) + 1 == sum(u.endswith(".js") for u in files)


def test_the_other_page_is_without_the_reviews(tmp_path: Path) -> None:
    files = page_files({"mode": "server"})
    assert not [url for url in files if url.startswith("review/")]
    assert "review" not in str(files["precache.js"]).replace("ui/review.js", "")


def test_what_opening_raises_is_raised_before_anything_listens(tmp_path: Path) -> None:
    def open_session() -> ReviewSession:
        raise OptionError("no such archive")

    with pytest.raises(OptionError, match="no such archive"):
        create_review_app(open_session, Settings())


def test_channels_and_high_rates(tmp_path: Path) -> None:
    """A place of one channel is that channel alone; 96 kHz comes at 48 kHz, which browsers play."""
    from oido.review.sounds import Sounds, SoundSpan

    t = np.arange(96_000) / 96_000
    both = np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 1_000 * t)], axis=1) / 2
    path = tmp_path / "two.wav"
    soundfile.write(path, both, 96_000)
    sounds = Sounds()
    for channel, pitch in ((0, 440), (1, 1_000)):
        span = SoundSpan("two.wav", str(path), channel, 0.0, 1.0)
        wave, rate = soundfile.read(io.BytesIO(sounds.wav(span)))
        assert rate == 48_000
        assert np.abs(np.fft.rfft(wave)).argmax() * rate / len(wave) == pytest.approx(pitch, abs=2)
        path_gone = sounds.wav(span)  # kept
        assert path_gone[:4] == b"RIFF"
    sounds.close()


def test_remote_recordings_are_fetched_once(tmp_path: Path) -> None:
    import fsspec

    from oido.review.sounds import Sounds, SoundSpan

    maker = tone_archive(tmp_path)
    content = (maker.folder.parent / "rec/south/b.wav").read_bytes()
    files = fsspec.filesystem("memory")
    with files.open("/review/b.wav", "wb") as file:
        file.write(content)
    sounds = Sounds()
    spans = [SoundSpan("b.wav", "memory://review/b.wav", None, n / 1, n + 1.0) for n in range(3)]
    assert sounds.wav(spans[0])[:4] == b"RIFF"
    files.rm("/review/b.wav")
    assert sounds.wav(spans[1]) != sounds.wav(spans[2])
    sounds.close()
