# SPDX-License-Identifier: Apache-2.0
"""Problems as answers of HTTP."""

from __future__ import annotations

from starlette.responses import JSONResponse

from oido.server.problems import Problem

__all__ = ["problem_response"]


def problem_response(problem: Problem) -> JSONResponse:
    """The JSON object of a problem, with its status and headers."""
    return JSONResponse(problem.body(), problem.status, problem.headers)
