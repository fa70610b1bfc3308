# SPDX-License-Identifier: Apache-2.0
"""The review over HTTP: its page, and the endpoints that the page uses.

The database and the archive are used by one thread, in the order of the requests; sound is cut by
others meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oido._version import __version__
from oido.errors import AudioError, OidoError
from oido.messages import shown, tr
from oido.review.items import ReviewItem
from oido.review.page import review_page_files
from oido.review.session import ReviewSession
from oido.review.sounds import LONGEST_SECONDS, Sounds, SoundSpan
from oido.search.label_store import VERDICTS
from oido.server.access import Access, Guard
from oido.server.answers import SafeAnswers, on_defect, on_error
from oido.server.draining import AnswerAtStop, Draining
from oido.server.page import PAGE_HEADERS, PAGE_TYPES, favicon
from oido.server.page_files import NAMES_URLS, content_of
from oido.server.problems import Problem, language_of, problem_of, problem_response
from oido.server.settings import Settings

_START = "index.html"
_MOST_BODY_BYTES = 65_536
_MOST_ITEMS = 50
_LONGEST_NAME = 80
_DONE = TypeVar("_DONE")


def create_review_app(open_session: Callable[[], ReviewSession], settings: Settings) -> Starlette:
    """The application of one review.

    open_session: called once, by the thread that will use the session. settings: where it is
    served, and with which token. Raises what opening raises, before anything listens.
    """
    work = ThreadPoolExecutor(1, "review")
    try:
        session = work.submit(open_session).result()
    except BaseException:
        work.shutdown()
        raise
    sounds, access, draining = Sounds(), Access(settings.token), Draining()
    endpoints = _Endpoints(session, work, sounds)
    about = {
        "oido": __version__,
        "token": not access.is_open,
        "by": session.settings.by,
        "label": session.settings.label,
        "others": list(session.settings.others),
        "learns": session.settings.export is not None,
        "names": NAMES_URLS,
    }
    files = {**review_page_files(), "review.json": json.dumps(about).encode()}

    async def page(request: Request) -> Response:
        url = request.url.path.removeprefix("/")
        content = await asyncio.to_thread(content_of, files[url])
        headers = {**PAGE_HEADERS, "Cache-Control": "no-cache"}
        return Response(content, 200, headers, PAGE_TYPES[Path(url or _START).suffix])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        work.submit(session.close).result()
        work.shutdown()
        sounds.close()

    app = Starlette(
        routes=[
            Route("/v1/review/next", endpoints.next_items, methods=["POST"]),
            Route("/v1/review/sound", endpoints.sound),
            Route("/v1/review/answer", endpoints.answer, methods=["POST"]),
            Route("/v1/review/undo", endpoints.undo, methods=["POST"]),
            Route("/v1/review/progress", endpoints.progress),
            Route("/v1/review/export", endpoints.export, methods=["POST"]),
            Route("/favicon.ico", favicon),
            *(Route(f"/{url}", page) for url in files),
        ],
        middleware=[
            Middleware(SafeAnswers),
            Middleware(AnswerAtStop, draining=draining),
            Middleware(Guard, access=access, host=settings.host),
        ],
        exception_handlers={
            **dict.fromkeys((Problem, HTTPException), on_error),
            OidoError: _on_oido_error,
            Exception: on_defect,
        },
        lifespan=lifespan,
    )
    # What `oido.server.serve` ends, besides requests: there are no streams and no workers here.
    app.state.failure = None
    app.state.draining, app.state.streams, app.state.pool = draining, _Nothing(), _Nothing()
    return app


async def _on_oido_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OidoError)
    return problem_response(problem_of(error), request.scope)


class _Nothing:
    async def drain(self) -> None:
        """There is nothing to end."""

    def kill(self) -> None:
        """The same."""


class _Endpoints:
    def __init__(self, session: ReviewSession, work: ThreadPoolExecutor, sounds: Sounds) -> None:
        self._session, self._work, self._sounds = session, work, sounds

    async def next_items(self, request: Request) -> Response:
        """``POST /v1/review/next``: the places that somebody is asked about next."""
        body = await _body(request)
        who, count = _who(body), body.get("count", 10)
        held = body.get("held", [])
        if not isinstance(count, int) or not 0 < count <= _MOST_ITEMS:
            raise Problem.bad_request(tr("count is a number from 1 to {most}", most=_MOST_ITEMS))
        if not isinstance(held, list) or not all(isinstance(key, str) for key in held):
            raise Problem.bad_request(tr("held is a list of ids"))
        return JSONResponse(await self._in_turn(lambda: self._next(request, who, count, held)))

    def _next(self, request: Request, who: str, count: int, held: Sequence[str]) -> dict[str, Any]:
        self._session.learn()
        found = self._session.next_items(who, count, held)
        return {"items": self._described(found), **self._state(request, who)}

    async def sound(self, request: Request) -> Response:
        """``GET /v1/review/sound?id=…&start=…&end=…``: a place, and as much around it, as WAV."""
        query = request.query_params
        try:
            key, start, end = query["id"], float(query["start"]), float(query["end"])
        except (KeyError, ValueError):
            raise Problem.bad_request(
                tr("a sound has an id, a start and an end in seconds")
            ) from None
        span = await self._in_turn(lambda: self._span(key, start, end))
        try:
            content = await asyncio.to_thread(self._sounds.wav, span)
        except OSError as error:
            raise AudioError(
                tr(
                    "{recording}: cannot be read ({reason})",
                    recording=span.recording,
                    reason=error.strerror or error,
                )
            ) from error
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(content, 200, headers, "audio/wav")

    def _span(self, key: str, start: float, end: float) -> SoundSpan:
        item = self._session.item(key)
        facts = self._session.recording(item)
        # Places near the end: a margin may reach beyond it.
        end = min(end, facts.duration) if facts.duration > start else end
        if not start <= item.end_time + LONGEST_SECONDS or end < item.start_time - LONGEST_SECONDS:
            raise Problem.bad_request(tr("that is not around the place"))
        times = round(start, 3), round(end, 3)
        return SoundSpan(item.recording, facts.location, item.channel, *times)

    async def answer(self, request: Request) -> Response:
        """``POST /v1/review/answer``: what somebody says of a place."""
        body = await _body(request)
        who, key, verdict, label = _who(body), body.get("id"), body.get("verdict"), None
        if not isinstance(key, str) or verdict not in VERDICTS:
            raise Problem.bad_request(
                tr("an answer has an id, and yes, no or unsure as its verdict")
            )
        if body.get("label") is not None:
            label = body["label"]
            if label not in self._session.settings.others or verdict != "no":
                raise Problem.bad_request(tr("label is one of the others, with the verdict no"))
        state = await self._in_turn(lambda: self._answered(request, who, key, verdict, label))
        # Nobody waits for what is learnt from it; the next answer brings it.
        return JSONResponse(state, background=BackgroundTask(self._in_turn, self._learn))

    def _learn(self) -> None:
        with suppress(OidoError):  # who asks for the next places is shown why
            self._session.learn()

    def _answered(
        self, request: Request, who: str, key: str, verdict: Any, label: str | None
    ) -> dict[str, Any]:
        self._session.answer(who, key, verdict, label)
        return self._state(request, who)

    async def undo(self, request: Request) -> Response:
        """``POST /v1/review/undo``: somebody's last answer counts no more; to what it was."""
        who = _who(await _body(request))
        return JSONResponse(await self._in_turn(lambda: self._undone(request, who)))

    def _undone(self, request: Request, who: str) -> dict[str, Any]:
        found = self._session.undo(who)
        items = [] if found is None else self._described([found])
        return {"items": items, **self._state(request, who)}

    async def progress(self, request: Request) -> Response:
        """``GET /v1/review/progress?who=…``: how far somebody, and all of them, are."""
        who = _who(dict(request.query_params))
        return JSONResponse(await self._in_turn(lambda: self._state(request, who)))

    async def export(self, request: Request) -> Response:
        """``POST /v1/review/export``: write what was learnt, where the command said."""
        who = _who(await _body(request))

        def write() -> dict[str, Any]:
            path = self._session.export()
            return {"file": str(path), **self._state(request, who)}

        return JSONResponse(await self._in_turn(write))

    async def _in_turn(self, run: Callable[[], _DONE]) -> _DONE:
        """In the one thread that uses the database and the archive."""
        return await asyncio.get_running_loop().run_in_executor(self._work, run)

    def _state(self, request: Request, who: str) -> dict[str, Any]:
        """How far the review is; its advice in the language of who asks."""
        state = self._session.state
        learning = (
            None
            if state is None
            else {
                "answers": state.answers,
                "positives": state.positives,
                "curve": [_plain(each) for each in state.curve],
                "finished": state.finished,
                "advice": shown(state.advice, language_of(request.scope)),
            }
        )
        return {"progress": self._session.progress(who), "learning": learning}

    def _described(self, found: Sequence[tuple[str, ReviewItem]]) -> list[dict[str, Any]]:
        items = [item for _, item in found]
        described = []
        for (key, item), scores in zip(found, self._session.scores(items)):
            facts = self._session.recording(item)
            began = facts.recorded_at
            at = None if began is None else began + timedelta(seconds=item.start_time)
            described.append(
                {
                    "id": key,
                    "recording": item.recording,
                    "channel": item.channel,
                    "start": item.start_time,
                    "end": item.end_time,
                    "label": item.label,
                    "score": item.score,
                    "duration": facts.duration,
                    "startAt": None if at is None else at.isoformat(timespec="seconds"),
                    "scores": [[start, end, round(value, 4)] for start, end, value in scores],
                }
            )
        return described


def _plain(point: Sequence[float]) -> list[float | None]:
    """A point of a curve as JSON has it, which has no NaN."""
    return [float(value) if math.isfinite(value) else None for value in point]


def _who(body: Mapping[str, Any]) -> str:
    who = body.get("who")
    name = " ".join(who.split()) if isinstance(who, str) else ""
    if not name or len(name) > _LONGEST_NAME:
        raise Problem.bad_request(
            tr("who answers is a name of 1 to {most} characters", most=_LONGEST_NAME)
        )
    return name


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request, which is short."""
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > _MOST_BODY_BYTES:
            raise Problem.too_much(tr("a request has {most} bytes at most", most=_MOST_BODY_BYTES))
    try:
        body = json.loads(content)
        json.dumps(body, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Problem.bad_request(tr("the body is a JSON object"))
    return body
