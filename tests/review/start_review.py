# SPDX-License-Identifier: Apache-2.0
"""A review that learns, for tests: `start_review.py RESULTS PROJECT`. Its queue only looks so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from oido.messages import tr
from oido.results import Results
from oido.review.app import create_review_app
from oido.review.items import ReviewItem
from oido.review.queues import QueueChoice, make_queue
from oido.review.session import ReviewSession, ReviewSettings
from oido.search.label_store import LabelStore
from oido.server.serve import serve
from oido.server.settings import Settings

ADVICE = tr("every place of the archive was asked about")


class State(NamedTuple):
    answers: int
    positives: int
    curve: list[tuple[int, float]]
    finished: bool
    advice: str


class Learner:
    def __init__(self, results: Results, store: LabelStore) -> None:
        self._store, self._curve = store, list[tuple[int, float]]()
        self._items = make_queue(results, QueueChoice("Owl", choice="top")).items

    def candidates(self, count: int) -> list[ReviewItem]:
        known = {(a.recording, a.start_time) for a in self._store.answers()}
        left = [i for i in self._items if (i.recording, i.start_time) not in known]
        return left[:count]

    def update(self) -> State:
        answers = self._store.answers("Owl")
        self._curve.append((len(answers), min(1.0, len(answers) / 20)))
        positives = sum(answer.verdict == "yes" for answer in answers)
        return State(len(answers), positives, self._curve, len(answers) >= 10, ADVICE)

    def export(self, path: Path) -> None:
        path.write_text("learnt", encoding="utf-8")


def main(folder: str, project: str) -> None:
    with Results(folder) as results:

        def open_session() -> ReviewSession:
            store = LabelStore(project)
            export = Path(project).with_name("owl.tflite")
            facts = ReviewSettings("learned", "oido review --learn 'Owl'", by="Ana", export=export)
            return ReviewSession(results, store, Learner(results, store), facts)

        settings = Settings(port=0)
        app = create_review_app(open_session, settings)
        serve(app, settings, lambda address: print(f"review at {address};", file=sys.stderr))


if __name__ == "__main__":
    main(*sys.argv[1:])
