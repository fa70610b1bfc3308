# SPDX-License-Identifier: Apache-2.0
"""Access control: the token, and the Host and Origin headers of browsers."""

from __future__ import annotations

import hmac
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from oido.messages import tr
from oido.server.problems import Problem, problem_response
from oido.server.settings import is_loopback

_AUTHORITY = re.compile(r"(\[[^]]*\]|[^:]*)(?::([0-9]*))?")
_GUARDED = ("/v1/", "/metrics")


class Access:
    """The token of a server. None: everybody who reaches the server has access."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    @property
    def is_open(self) -> bool:
        return self._token is None

    def allows(self, token: str | None) -> bool:
        """Whether this is the token, compared in constant time."""
        if self._token is None:
            return True
        # JSON can write half of a surrogate pair, which is no text, and no token either.
        shown = (token or "").encode("utf-8", "surrogatepass")
        return hmac.compare_digest(shown, self._token.encode())

    def allows_header(self, headers: Headers) -> bool:
        """Whether ``Authorization: Bearer TOKEN`` is there and right."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self.is_open
        return self.allows(token.strip())

    def refusal(self) -> Problem:
        """The answer to a request without the token."""
        return Problem(
            401,
            "AccessError",
            tr("this server wants its token: Authorization: Bearer TOKEN"),
            headers={"WWW-Authenticate": "Bearer", "Connection": "close"},
        )


class Guard:
    """Stands before every request.

    Without a token, a server on this machine must not serve any page that happens to be open in a
    browser here: a request must name the server by an address of this machine (or else a foreign
    name was made to point here), and must not come from a page of another origin. A WebSocket may
    still bring its token in its first message, which the stream itself looks at.
    """

    def __init__(self, app: ASGIApp, access: Access, host: str) -> None:
        self._app, self._access, self._host = app, access, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await problem_response(problem, scope)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # an HTTP 403

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if not self._access.is_open:
            is_guarded = scope["type"] == "http" and scope["path"].startswith(_GUARDED)
            is_refused = is_guarded and not self._access.allows_header(headers)
            return self._access.refusal() if is_refused else None
        host, port = _host_and_port(headers.get("host", ""))
        if not is_loopback(host) and host != _host_and_port(self._host)[0]:
            return _refused(tr("this server is not called {host!r}", host=host[:100]))
        origin = headers.get("origin")
        if origin is not None and _host_and_port(origin.partition("://")[2]) != (host, port):
            return _refused(
                tr(
                    "pages of {origin!r} may not use this server without its token",
                    origin=origin[:100],
                )
            )
        return None


def _host_and_port(authority: str) -> tuple[str, str]:
    """Names are the same in any case, and with the dot of the root behind them (RFC 3986, 1034)."""
    parts = _AUTHORITY.fullmatch(authority.lower())
    host, port = parts.groups("") if parts else (authority.lower(), "")
    return host.removesuffix("."), port


def _refused(message: str) -> Problem:
    return Problem(403, "AccessError", message, headers={"Connection": "close"})
