# SPDX-License-Identifier: Apache-2.0
"""A sound learnt from yes and no, while somebody answers: what to ask next, and when to stop.

The archive's stored embeddings are all that is needed until the end: a head is fitted on them, and
every window of the archive is scored again. Only what is written at the end is checked on the
recordings themselves (`oido.review.learnt_model`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.clip import check_label
from oido.datasets.splits import require_training_extra
from oido.errors import OptionError
from oido.messages import tr
from oido.models.labels import label_text
from oido.results.find import Finder
from oido.results.results import Results
from oido.review.items import ReviewItem
from oido.review.learnt_model import LearntModel, write_learnt_model
from oido.review.windows import ArchiveWindows, WindowPlace
from oido.search.label_store import Answer, LabelStore
from oido.training.active import (
    BACKGROUND_WINDOWS,
    OURS,
    AnswersFit,
    AskingRule,
    LearntPoint,
    Unanswered,
    archive_shares,
    choose_next,
    is_enough,
    lacking,
    learning_curve,
)
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import one_thread
from oido.training.head import activate
from oido.training.head_export import require_addable

_HOPELESS = 20
"""After so many answers without a yes, another example is asked for."""

_MANY_YES = 10
"""From so many on, without enough answers of no to judge by, it is these that are looked for."""


class LoopState(NamedTuple):
    """What was learnt so far.

    answers: those that are yes or no and lie in this archive; positives: the yes among them. curve:
    (answers, estimated average precision over the archive, and its interval of 95 %, which may be
    NaN); empty where too few recordings were answered to hold any back. It promises too much: what
    scores far below all that was asked is not known to it. finished: asking may stop.
    advice: a sentence on what to do next.
    """

    answers: int
    positives: int
    curve: list[LearntPoint]
    finished: bool
    advice: str


class LearningLoop:
    """Learns a label in an archive from the answers in a label store.

        with Results("results/") as results, LabelStore("project.db") as store:
            loop = LearningLoop(results, store, "owl", like=["owl.wav@3-5"])
            for item in loop.candidates(5):
                ...  # somebody listens, and the answer goes into the store
            print(loop.update().advice)
            loop.export("owl.tflite")

    like, unlike, texts: where to begin, as in `Finder.find`; without them, with the archive's best
    windows of the label. index, model: as of `Finder`. seed: the same answers and seed give
    the same questions and the same model. Raises OptionError for an archive without
    embeddings, MissingExtraError without ``oido[train]``.
    """

    def __init__(
        self,
        results: Results,
        store: LabelStore,
        label: str,
        *,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        texts: Sequence[str] = (),
        index: str | os.PathLike[str] | None = None,
        seed: int = 0,
        rule: AskingRule = OURS,
        on_progress: Callable[[int, int], None] = lambda done, of: None,
        model: str | os.PathLike[str] | None = None,
    ) -> None:
        require_training_extra()
        self.label = check_label(label, tr("the sound to learn"))
        self._results, self._store, self._seed, self._rule = results, store, seed, rule
        self._like, self._unlike, self._texts = list(like), list(unlike), list(texts)
        self._finder = Finder(results, index, on_progress, model)
        self._windows = ArchiveWindows(self._finder)
        if not self._windows.n:
            raise OptionError(tr("{url} holds no window yet", url=results.url))
        self._examples: F32 = np.zeros((0, self._windows.size), np.float32)
        self._own: list[tuple[str, float, float]] = []
        if like:
            self._examples, self._own = self._finder.examples(like)
        dice = np.random.default_rng(seed)
        count = min(self._windows.n, 2 * BACKGROUND_WINDOWS)
        self._background = dice.choice(self._windows.n, count, replace=False).astype(np.int64)
        self._seen: tuple[str, ...] | None = None
        self._clips: EmbeddedClips | None = None
        self._answered: list[Answer] = []
        self._rows: list[I64] = []
        self._askable: Bools = np.ones(self._windows.n, np.bool_)
        self._fit: AnswersFit | None = None
        self._logits: F32 | None = None
        self._state = LoopState(0, 0, [], False, "")

    def require_writable(self) -> None:
        """Raise OptionError if nothing that is learnt could be written: another model is here than
        the archive's, or one that no head can be put behind."""
        require_addable(self._finder.model)

    def candidates(self, count: int) -> list[ReviewItem]:
        """The next places to ask about, the first one first; fewer where no more are left.

        Places that were answered, with "unsure", too, are not asked again. Until answers are in the
        store and `update` was called, the same places come again. Raises OptionError if nothing
        says where to begin.
        """
        if count < 1:
            raise OptionError(tr("at least 1 place is to be asked about, not {count}", count=count))
        if self._seen is None:
            self.update()
        if self._logits is None:
            return self._alike(count)
        numbers = choose_next(
            self._logits,
            self._askable,
            count,
            vectors=self._windows.vectors,
            near=lambda number: self._windows.touching(self._windows.place(number)),
            dice=np.random.default_rng([self._seed, self._state.answers]),
            rule=self._rule_now(),
        )
        scores = activate(self._logits[numbers], "sigmoid").tolist()
        return [self._item(self._windows.place(n), s) for n, s in zip(numbers.tolist(), scores)]

    def update(self) -> LoopState:
        """Learn from what is in the store by now, and score the archive again."""
        answers = sorted(self._store.decided(self.label).values(), key=lambda a: (a.created, a.id))
        seen = tuple(f"{answer.id} {answer.verdict}" for answer in answers)
        if seen == self._seen:
            return self._state
        self._read(answers)
        self._fit = self._logits = None
        curve: list[LearntPoint] = []
        clips = self._clips
        if clips is not None and (clips.targets.any() or len(self._examples)):
            with one_thread():
                self._fit = fit = self._fitted(clips)
                head = fit.head
                self._logits = self._windows.logits(head)
                curve = learning_curve(fit, self._shares(clips, self._logits), self._seed)
        self._seen = seen
        positives = 0 if clips is None else int(clips.targets.sum())
        finished = is_enough(curve, positives) or not self._askable.any()
        count = len(self._answered)
        self._state = LoopState(count, positives, curve, finished, self._advice(curve, finished))
        return self._state

    def export(self, path: str | os.PathLike[str]) -> LearntModel:
        """Write the calibrated classifier as .tflite, with its threshold, and a report beside it.

        The report (``NAME-report.html``) judges on held-out sources only: each answer by a model
        that has seen no answer of its recording. The file is checked on the recordings. Raises
        OptionError for too few answers to judge by, answers of one kind only, recordings that are
        not there any more, or a model that is not the archive's; ModelFormatError and OutputError.
        """
        self.update()
        clips = self._clips
        if clips is None or self._fit is None:
            raise OptionError(
                tr(
                    "nothing was learnt yet: answer some places of {label} with yes and no",
                    label=label_text(self.label),
                )
            )
        yes = int(clips.targets.sum())
        if yes in (0, len(clips)):
            raise OptionError(
                tr(
                    "all {count} answers are yes; a classifier needs places without {label}, too",
                    count=len(clips),
                    label=label_text(self.label),
                )
                if yes
                else tr(
                    "all {count} answers are no; a classifier needs places with {label}, too",
                    count=len(clips),
                    label=label_text(self.label),
                )
            )
        if any(lacking(clips)):
            raise OptionError(
                tr("too few answers to judge by: {lacking}", lacking=self._lacking(clips))
            )
        with one_thread():
            return write_learnt_model(
                path,
                self._results,
                self._finder.model,
                self._fit,
                self._answered,
                self._state.curve,
                self._seed,
            )

    def _read(self, answers: Sequence[Answer]) -> None:
        """The windows of the answers that lie in this archive, and which are left to ask."""
        self._askable[:] = True
        for file, *span in self._own:  # an example is known to be one
            self._askable[self._windows.touching(WindowPlace(file, None, *span))] = False
        rows: list[I64] = []
        self._answered, self._rows = [], rows
        for answer in answers:
            place = WindowPlace(
                answer.recording, answer.channel, answer.start_time, answer.end_time
            )
            self._askable[self._windows.touching(place)] = False
            own = self._windows.inside(place)
            if answer.verdict != "unsure" and len(own):
                rows.append(own)
                self._answered.append(answer)
        if not rows:
            self._clips = None
            return
        numbers = np.concatenate(rows)
        yes = [[answer.verdict == "yes"] for answer in self._answered]
        self._clips = EmbeddedClips(
            self._windows.vectors(numbers),
            np.repeat(np.arange(len(rows)), [len(own) for own in rows]),
            np.ones(len(numbers)),
            np.array(yes, np.float32),
            (self.label,),
            self._windows.files[[own[0] for own in rows]].astype(np.int64),
            np.full(len(rows), -1),
            multi_label=True,
        )

    def _rule_now(self) -> AskingRule:
        """The rule; any places where much is yes and too little no: of a frequent sound, what
        scores high and what is near the boundary are both yes."""
        clips = self._clips
        if clips is None or clips.targets.sum() < _MANY_YES or not lacking(clips).no:
            return self._rule
        return replace(self._rule, top=0, margin=0, random=1)

    def _fitted(self, clips: EmbeddedClips) -> AnswersFit:
        known = np.concatenate(self._rows)
        free = self._background[~np.isin(self._background, known)][:BACKGROUND_WINDOWS]
        beside = Unanswered(self._windows.vectors(free), self._examples)
        return AnswersFit(clips, beside, self._rule)

    def _shares(self, clips: EmbeddedClips, logits: F32) -> F64:
        """f64[K]: for how many windows of the archive each answer speaks."""
        best = np.array([logits[own].max() for own in self._rows], np.float32)
        return archive_shares(best, logits)

    def _alike(self, count: int) -> list[ReviewItem]:
        """Places like the examples, or the archive's best of the label, that were not asked yet."""
        asked = int((~self._askable).sum())
        texts = self._texts or ([] if self._like else [self.label])
        try:
            if not self._texts and texts:  # words are taken for others where somebody says so
                self._finder.label_of(self.label)
            table = self._finder.find(
                self._like, self._unlike, texts=texts, count=min(count + asked, self._windows.n)
            )
        except OptionError as error:
            if self._texts or self._like:
                raise
            raise OptionError(
                tr(
                    "nothing says yet what {label} is: begin with an example "
                    "(--like clip.wav) or with a label of the archive (--text owl)",
                    label=label_text(self.label),
                )
            ) from error
        items: list[ReviewItem] = []
        for row in table.select(range(5)).to_pylist():
            place = WindowPlace(row["file"], row["channel"], row["start_time"], row["end_time"])
            if self._askable[self._windows.inside(place)].all():
                items.append(self._item(place, float(row["similarity"])))
        return items[:count]

    def _item(self, place: WindowPlace, score: float) -> ReviewItem:
        times = place.start_time, place.end_time
        return ReviewItem(place.file, *times, self.label, score, place.channel)

    def _advice(self, curve: Sequence[LearntPoint], finished: bool) -> str:
        clips = self._clips
        if not self._askable.any():
            text = tr("every place of the archive was asked about")
        elif clips is None:
            text = tr("answer the first places; they are those most like the examples")
        elif not clips.targets.any() and len(clips) >= _HOPELESS:
            text = tr(
                "{count} answers and no yes: begin with another example of {label}",
                count=len(clips),
                label=label_text(self.label),
            )
        elif any(lacking(clips)):
            text = tr("go on: {lacking}", lacking=self._lacking(clips))
        elif not curve:
            text = tr("go on: there are too few recordings with a yes to judge by")
        elif finished:
            text = tr(
                "you may stop: the average precision is {value:.2f}, and the last {count} answers "
                "have raised it by {gain:.2f}",
                value=curve[-1].average_precision,
                count=curve[-1].answers - curve[-2].answers,
                gain=max(0.0, curve[-1].average_precision - curve[-2].average_precision),
            )
        else:
            text = tr(
                "go on: the average precision is {value:.2f} after {count} answers",
                value=curve[-1].average_precision,
                count=curve[-1].answers,
            )
        return text

    def _lacking(self, clips: EmbeddedClips) -> str:
        """What is missing to judge by, in words."""
        missing = lacking(clips)
        if missing.yes == 1:
            return tr("1 more answer of yes is needed")
        if missing.yes:
            return tr("{count} more answers of yes are needed", count=missing.yes)
        if missing.no == 1:
            return tr("1 more answer of no is needed")
        if missing.no:
            return tr("{count} more answers of no are needed", count=missing.no)
        return tr(
            "a yes from another recording is needed, because what is learnt is judged on "
            "recordings that it has not seen"
        )
