# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document against the server, by requests that schemathesis makes up."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

pytest.importorskip("starlette")
schemathesis = pytest.importorskip("schemathesis")


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/models", "/healthz", "/metrics"])
def test_answers_are_those_of_the_document(server: Any, path: str) -> None:
    """Every answer has a status, a type and a shape that the document names; none is a 5xx."""
    document = httpx.get(f"{server.address}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server.address)
    (operation,) = [o.ok() for o in schema.get_all_operations() if o.ok().path == path]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answers(case: Any) -> None:
        response = case.call(timeout=30)
        assert response.status_code < 500
        case.validate_response(
            response,
            checks=[
                schemathesis.checks.not_a_server_error,
                schemathesis.specs.openapi.checks.status_code_conformance,
                schemathesis.specs.openapi.checks.content_type_conformance,
                schemathesis.specs.openapi.checks.response_schema_conformance,
            ],
        )

    answers()
