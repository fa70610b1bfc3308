# SPDX-License-Identifier: Apache-2.0
"""Errors as clients see them over HTTP: a status, and one sentence in the client's language.

Which language that is, the request's Accept-Language says, or else that of the server. What
programs read, the kind of an error and its numbers, is the same in all of them.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Scope

from oido import errors
from oido.messages import MarkedText, accepted_language, recognised, shown, text_of, tr, translated

_OF_LIMITS = "LimitError"


class Problem(Exception):  # noqa: N818  # what HTTP calls it (RFC 9457)
    """An error answer.

    status: of HTTP. kind: the error's class, as in `oido.errors`, or one of the server's own:
    "LimitError", "BusyError", "AccessError", "ProtocolError", "WorkerError". more: further members
    of the JSON object, and headers of the answer. about: the name, chosen by a client, that a
    worker's sentence begins with.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        more: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        about: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message
        self.more, self.headers, self._about = more or {}, headers or {}, about

    @classmethod
    def too_much(cls, message: str) -> Problem:
        """A limit of the server was met by what the client sent."""
        # The rest of the body is not wanted: the connection ends here.
        return cls(413, _OF_LIMITS, message, headers={"Connection": "close"})

    @classmethod
    def busy(cls, message: str) -> Problem:
        """The server is fully loaded; the client may try again later."""
        return cls(503, "BusyError", message, headers={"Retry-After": "2", "Connection": "close"})

    @classmethod
    def bad_request(cls, message: str) -> Problem:
        """The request itself is not understood."""
        return cls(400, "ProtocolError", message, headers={"Connection": "close"})

    def body(self, locale: str) -> dict[str, Any]:
        """Its JSON object, with its sentence in this language."""
        return {"error": self.kind, "message": self._in_language(locale), **self.more}

    def _in_language(self, locale: str) -> str:
        if isinstance(self.message, MarkedText):
            return shown(self.message, locale)
        if self.message in _OF_FRAMEWORK:
            return translated(self.message, locale)
        # What a worker says comes as plain English, and is found in the catalogue by its form. No
        # name has a part in that: one could be made to look like many forms.
        if not (self._about and self.message.startswith(self._about)):
            return recognised(self.message, locale)
        return recognised("\0" + self.message[len(self._about) :], locale).replace(
            "\0", self._about
        )


_OF_FRAMEWORK = (tr("Not Found"), tr("Method Not Allowed"))
"""Its own sentences, as HTTP has them."""


def language_of(scope: Scope) -> str:
    """Of who sent a request."""
    return accepted_language(",".join(Headers(scope=scope).getlist("accept-language")))


def status_of_kind(kind: str) -> int:
    """The status of an error of `oido.errors`, by its class's name."""
    error = getattr(errors, kind, None)
    if not isinstance(error, type):
        return 413 if kind == _OF_LIMITS else 500
    if issubclass(error, errors.OptionError):
        return 400
    if issubclass(error, errors.ModelNotFoundError):
        return 404
    return 422 if issubclass(error, errors.AudioError) else 500


def problem_of(error: errors.OidoError) -> Problem:
    """One of oido's own errors as a problem."""
    kind = type(error).__name__
    return Problem(status_of_kind(kind), kind, text_of(error))


def problem_response(problem: Problem, scope: Scope) -> JSONResponse:
    """The JSON object of a problem for this request, with its status and headers."""
    locale = language_of(scope)
    return JSONResponse(
        problem.body(locale), problem.status, {**problem.headers, **language_headers(locale)}
    )


def language_headers(locale: str) -> dict[str, str]:
    """Of an answer that has a text for people in it."""
    return {"Content-Language": locale, "Vary": "Accept-Language"}
