# SPDX-License-Identifier: Apache-2.0
"""Problems as answers: their status, and their sentence in the language of who asked."""

from __future__ import annotations

import json

import pytest

from oido import errors
from oido.messages import tr
from oido.server.access import Access
from oido.server.problems import Problem, problem_of, problem_response


def told(problem: Problem, language: str) -> str:
    scope = {"type": "http", "headers": [(b"accept-language", language.encode())]}
    message: str = json.loads(bytes(problem_response(problem, scope).body))["message"]
    return message


def test_a_sentence_is_in_the_language_that_a_request_wants() -> None:
    refusal = Access("un-token-muy-largo").refusal()
    assert told(refusal, "es") == "este servidor pide su token: Authorization: Bearer TOKEN"
    assert told(refusal, "en, es;q=0.5").startswith("this server wants its token")
    assert told(refusal, "es;q=0, en").startswith("this server wants its token")
    # What a worker says comes as plain text.
    of_worker = Problem(422, "EmptyAudioError", "a.wav: is empty (0 bytes)")
    assert told(of_worker, "es") == "a.wav: está vacío (0 bytes)"
    assert told(Problem(404, "ProtocolError", "Not Found"), "es") == "No existe"
    name = "a: is empty (0 bytes).wav"
    of_name = Problem(422, "EmptyAudioError", f"{name}: is empty (0 bytes)", about=name)
    assert told(of_name, "es") == f"{name}: está vacío (0 bytes)"
    assert told(of_name, "en") == f"{name}: is empty (0 bytes)"
    assert told(Problem(500, "InternalError", "nobody knows", about="x"), "es") == "nobody knows"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.OptionError, 400),
        (errors.ModelNotFoundError, 404),
        (errors.EmptyAudioError, 422),
        (errors.OutputError, 500),
    ],
)
def test_errors_of_ours_have_their_status_and_kind_in_any_language(
    error: type[errors.OidoError], status: int
) -> None:
    problem = problem_of(error(tr("{path}: no such file", path="a.wav")))
    assert problem.status == status
    assert problem.body("en") == {"error": error.__name__, "message": "a.wav: no such file"}
    assert problem.body("es") == {
        "error": error.__name__,
        "message": "a.wav: no existe ese archivo",
    }


def test_answers_say_their_language_and_keep_their_headers() -> None:
    scope = {"type": "http", "headers": [(b"accept-language", b"es")]}
    answer = problem_response(Problem.busy(tr("the server is being stopped")), scope)
    assert answer.status_code == 503
    assert answer.headers["content-language"] == "es"
    assert answer.headers["vary"] == "Accept-Language"
    assert answer.headers["retry-after"] == "2"
