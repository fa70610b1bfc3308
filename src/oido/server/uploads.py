# SPDX-License-Identifier: Apache-2.0
"""A request's body as a file that lasts as long as the request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from oido.errors import OutputError
from oido.messages import tr
from oido.server.answers import AnswerFile
from oido.server.problems import Problem
from oido.server.settings import Limits

_NAMELESS = "<upload>"
_LONGEST_NAME = 255

_EXTENDED_NAME = re.compile(rb"(?i);\s*filename\*\s*=\s*utf-8'[^';]*'([^;\s]+)")


class UploadedFile(NamedTuple):
    """A recording that was sent: where it is for now, and how rows call it."""

    path: str
    name: str
    size_bytes: int


class Uploads:
    """All uploads that are here at one time, in a folder of their own.

    Each file is deleted as soon as its request is over, whatever came of it; the folder at `close`.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._folder = ""
        self._made: os.stat_result | None = None
        self.bytes_here = self.answer_bytes_here = 0

    def open(self) -> None:
        """Make the folder. Raises OutputError."""
        try:
            self._folder = tempfile.mkdtemp(prefix="oido-serve-")
            self._made = os.lstat(self._folder)
        except OSError as error:
            raise OutputError(
                tr(
                    "no temporary folder can be written to ({reason}); name one that can in TMPDIR",
                    reason=error.strerror,
                )
            ) from error

    def _present_folder(self) -> str:
        """The folder, or a new one: systems clear theirs of what was long without use."""
        with contextlib.suppress(OSError):
            found, made = os.lstat(self._folder), self._made
            # Not what somebody else may have made in its place.
            if made and (found.st_mode, found.st_uid) == (made.st_mode, made.st_uid):
                return self._folder
        self.open()
        return self._folder

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[UploadedFile]:
        """The body of this request: a form with one file in it, or the recording as it is.

        Raises a Problem: 413 beyond the limit, 408 for one that takes too long, 400 for a form
        that has not one file; 415 for a body that is packed; 507 where there is no place for it.
        """
        _refuse_packed(request)
        length = request.headers.get("content-length", "0")
        if length.isdecimal():
            self._refuse_by_size(int(length))
        path, size = "", 0
        try:
            descriptor, path = tempfile.mkstemp(dir=self._present_folder())
            with os.fdopen(descriptor, "wb") as file:
                form = _form_in(request, file)
                deadline = asyncio.get_running_loop().time() + self._limits.upload_seconds
                chunks = request.stream()
                while (chunk := await self._next(chunks, deadline)) is not None:
                    size += len(chunk)
                    self.bytes_here += len(chunk)
                    self._refuse_by_size(size)
                    (form or file).write(chunk)
                name = form.finish() if form else request.query_params.get("name", "")
            yield UploadedFile(path, _clean(name), size)
        except ClientDisconnect as error:
            raise Problem.bad_request(tr("the client went away before all was sent")) from error
        except OSError as error:
            raise Problem(
                507,
                "OutputError",
                tr("the upload cannot be kept for hearing ({reason})", reason=error.strerror),
                headers={"Connection": "close"},
            ) from error
        finally:
            self.bytes_here -= size
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def new_answer(self) -> AnswerFile:
        """A file for an answer; there too, the disk is not filled by those who do not take it."""
        return AnswerFile(self._present_folder(), self._add_answer_bytes)

    def _add_answer_bytes(self, grown: int) -> None:
        self.answer_bytes_here += grown
        if grown > 0 and self.answer_bytes_here > self._limits.answers_bytes:
            raise Problem.busy(tr("too many answers wait to be taken; try again later"))

    def close(self) -> None:
        """Delete the folder, with all that is left in it."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _next(self, chunks: AsyncIterator[bytes], deadline: float) -> bytes | None:
        left = deadline - asyncio.get_running_loop().time()
        pause, whole = self._limits.pause_seconds, self._limits.upload_seconds
        try:
            return await asyncio.wait_for(anext(chunks), max(min(left, pause), 0.001))
        except StopAsyncIteration:
            return None
        except asyncio.TimeoutError as error:
            reason = (
                tr("the upload took longer than {seconds:g} s", seconds=whole)
                if left <= pause
                else tr("nothing of the upload came for {seconds:g} s", seconds=pause)
            )
            raise Problem(408, "LimitError", reason, headers={"Connection": "close"}) from error

    def _refuse_by_size(self, size: int) -> None:
        most = self._limits.body_bytes
        if size > most:
            raise Problem.too_much(
                tr("the upload is larger than {size:g} MB, the most allowed", size=most / 1e6)
            )
        if self.bytes_here > self._limits.uploads_bytes:
            raise Problem.busy(tr("too many uploads are under way; try again later"))


class _Form:
    """The body is a form, and the recording the one file in it."""

    def __init__(self, file: IO[bytes], boundary: bytes) -> None:
        self._file = file
        self._name: str | None = None
        self._field, self._value = b"", b""
        self._is_file = self._ended = False
        try:
            # Each callback of the parser is the method of its name.
            names = (name for name in dir(self) if name.startswith("_on_"))
            callbacks: Any = {name.removeprefix("_"): getattr(self, name) for name in names}
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise _bad_form(str(error)) from error

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _bad_form(str(error)) from error

    def finish(self) -> str:
        if not self._ended:
            raise _bad_form(tr("it breaks off"))
        if self._name is None:
            raise _bad_form(tr("there is no file in it"))
        return self._name

    def _on_part_begin(self) -> None:
        self._is_file = False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            # Not of forms (RFC 7578, 4.2), yet sent in them: by .NET beside a name that is no text.
            if extended := _EXTENDED_NAME.search(self._value):
                options[b"filename"] = unquote_to_bytes(extended[1])
            if b"filename" in options:
                if self._name is not None:
                    raise _bad_form(tr("there is more than one file in it; send them one by one"))
                self._name = options[b"filename"].decode("utf-8", "replace")
                self._is_file = True
        self._field, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        if not self._is_file:
            raise _bad_form(
                tr("there is something else than a file in it; options go in the query")
            )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._file.write(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


def _refuse_packed(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise Problem(
            415,
            "ProtocolError",
            tr(
                "the body is packed ({encoding}); send the recording as it is, without "
                "Content-Encoding",
                encoding=encoding[:100],
            ),
            headers={"Accept-Encoding": "identity", "Connection": "close"},
        )


def _form_in(request: Request, file: IO[bytes]) -> _Form | None:
    """What takes the file out of a form; None: the body is the recording itself."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        return None
    if not options.get(b"boundary"):
        raise _bad_form(tr("its content type names no boundary"))
    return _Form(file, options[b"boundary"])


def _bad_form(reason: str) -> Problem:
    return Problem.bad_request(tr("the form cannot be read: {reason}", reason=reason))


def _clean(name: str) -> str:
    """What a client calls its file, as rows may show it: no folders, no control characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:_LONGEST_NAME] or _NAMELESS
