# SPDX-License-Identifier: Apache-2.0
"""Errors as clients see them over HTTP: a status, and one sentence."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from oido import errors

_OF_LIMITS = "LimitError"


class Problem(Exception):  # noqa: N818  # what HTTP calls it (RFC 9457)
    """An error answer.

    status: of HTTP. kind: the error's class, as in `oido.errors`, or one of the server's own:
    "LimitError", "BusyError", "AccessError", "ProtocolError", "WorkerError". more: further members
    of the JSON object, and headers of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        more: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message
        self.more, self.headers = more or {}, headers or {}

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

    def body(self) -> dict[str, Any]:
        """Its JSON object."""
        return {"error": self.kind, "message": self.message, **self.more}


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
    return Problem(status_of_kind(kind), kind, str(error))


def problem_response(problem: Problem) -> JSONResponse:
    """The JSON object of a problem, with its status and headers."""
    return JSONResponse(problem.body(), problem.status, problem.headers)
