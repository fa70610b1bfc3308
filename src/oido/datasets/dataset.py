# SPDX-License-Identifier: Apache-2.0
"""The dataset: labelled clips, wherever they came from.

What is true of each clip becomes the arrays that classifiers learn from, and what clips weigh.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from oido.arrays import F32, F64, Bools
from oido.datasets.checks import DatasetSummary, join_duplicates, same_content, summarize
from oido.datasets.clip import BACKGROUND, Clip, ClipSet, Found, meaning_of
from oido.datasets.folders import background_clips, class_folders
from oido.datasets.splits import fold_numbers, test_mask, test_parts
from oido.datasets.tables import TABLE_SUFFIXES, listed_clips
from oido.datasets.tracks import has_tracks, tracked_clips
from oido.errors import OptionError
from oido.messages import tr
from oido.paths import NameFinder, respelled_note

if TYPE_CHECKING:
    from typing_extensions import Self


_LISTS = ("clips.csv", "clips.parquet")


@dataclass(frozen=True, repr=False)
class Dataset(ClipSet, Sequence[Clip]):
    """Labelled clips, in order; made by one of the ``from_…`` methods, or by `load`.

        data = oido.Dataset.from_folder("birds/")
        print(data.check())
        train, test = data.split(test=0.25)

    classes: the labels of events, sorted; a part of a dataset keeps those of the whole.
    multi_label: a clip may have several of them. left_out: what was named and cannot be used, with
    the reason. skipped: files that are no recordings. duplicates: files of the same content; they
    share a group. notes: sentences on folders that were passed over, on links to what is there
    already, and on names that were spelled otherwise. Nothing is decoded until `check`, except for
    the length of recordings where background between regions is wanted.
    """

    def __repr__(self) -> str:
        shown = ", ".join(self.classes[:5]) + (", …" if len(self.classes) > 5 else "")
        return f"<Dataset: {len(self.clips)} clips, {len(self.classes)} classes: {shown:.120}>"

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str], *, each_is_a_source: bool = False) -> Self:
        """A folder that has a folder of recordings for each class.

        Folders ``background``, ``noise``, ``other`` and ``silence`` hold no event, ``-Dog`` sounds
        known to be without a dog, ``A,B`` both. Files such as ``rex-1`` and ``rex-2`` are taken for
        parts of one source, and noted, unless each_is_a_source. Raises OptionError.
        """
        return cls._of(class_folders(_folder(path), each_is_a_source=each_is_a_source))

    @classmethod
    def from_table(
        cls,
        path: str | os.PathLike[str],
        *,
        background_from_gaps: bool = False,
        each_is_a_source: bool = False,
    ) -> Self:
        """A CSV or Parquet table with the columns ``file`` and ``label``, and perhaps more.

        fold, group: kept. start_time, end_time: regions, in seconds. Several rows of one clip are
        its several labels. Paths are relative to the table. background_from_gaps: stretches of a
        second or more that no region touches are background; only for tables that list all there
        is. each_is_a_source: as for folders and tracks, where the table has no groups. Raises
        OptionError, or MissingExtraError for Parquet without pyarrow.
        """
        clips = listed_clips(
            os.fspath(path),
            background_from_gaps=background_from_gaps,
            each_is_a_source=each_is_a_source,
        )
        return cls._of(clips)

    @classmethod
    def from_label_tracks(
        cls,
        path: str | os.PathLike[str],
        *,
        background_from_gaps: bool = True,
        each_is_a_source: bool = False,
    ) -> Self:
        """A folder of recordings with label tracks of Audacity or Raven beside them.

        background_from_gaps: stretches of a second or more that no label touches are background;
        switch it off for recordings that were labelled in part only. each_is_a_source: each stretch
        of a recording is, and not the whole: what is judged so is flattered, and notes say it.
        Raises OptionError.
        """
        clips = tracked_clips(
            _folder(path),
            background_from_gaps=background_from_gaps,
            each_is_a_source=each_is_a_source,
        )
        return cls._of(clips)

    @classmethod
    def from_clips(cls, clips: Iterable[Clip], *, multi_label: bool | None = None) -> Self:
        """Clips of your own. multi_label: None if it is, once a clip has several labels."""
        data = cls._of(Found(list(clips)))
        return data if multi_label is None else replace(data, multi_label=multi_label)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, each_is_a_source: bool = False) -> Self:
        """Whatever stands there, by the way of reading that fits.

        A file is a table. A folder is read by its ``clips.csv`` or ``clips.parquet``, else by the
        label tracks beside its recordings, if most have one, else by its folders of classes.
        """
        name = os.fspath(path)
        if os.path.isfile(name):
            if os.path.splitext(name)[1].lower() not in TABLE_SUFFIXES:
                text = tr("{name}: a dataset is a folder, or a table such as clips.csv", name=name)
                if name.endswith(".db"):
                    text += tr("; of a label store: oido labels export {name} -o FILE", name=name)
                raise OptionError(text)
            return cls.from_table(name, each_is_a_source=each_is_a_source)
        names, folder = NameFinder(os.path.isfile), _folder(name)
        tables = (names.find(os.path.join(folder, table)) for table in _LISTS)
        if table := next(filter(None, tables), None):
            data = cls.from_table(table, each_is_a_source=each_is_a_source)
            return replace(data, notes=(*respelled_note(names.respelled), *data.notes))
        if has_tracks(name):
            return cls.from_label_tracks(name, each_is_a_source=each_is_a_source)
        return cls.from_folder(name, each_is_a_source=each_is_a_source)

    def with_background(
        self, path: str | os.PathLike[str], *, each_is_a_source: bool = False
    ) -> Self:
        """These clips, and every recording below a folder as one without an event.

        Whoever teaches three sounds should show, too, what is none of them: rain, traffic, a room
        with people. Folds of the data's own are kept; background has none. Raises OptionError.
        """
        more = background_clips(_folder(path), each_is_a_source=each_is_a_source)
        clips = [*self.clips, *more.clips]
        left_out, skipped = [*self.left_out, *more.left_out], [*self.skipped, *more.skipped]
        joined = self._of(Found(clips, left_out, skipped))
        notes = (*self.notes, *more.notes())
        return replace(joined, classes=self.classes, multi_label=self.multi_label, notes=notes)

    def relabel(self, names: Mapping[str, str]) -> Self:
        """These clips, with other names for some classes: those that a model has for them.

        names: by the dataset's labels; several may become one, and ``background`` is no event.
        Labels that are not named stay. Raises OptionError if none of the names is a class here.
        """
        absent = {label for clip in self.clips for label in clip.negatives}
        known = {*self.classes, *absent}
        if not known & names.keys():
            shown = ", ".join(map(repr, sorted(known)[:5]))
            raise OptionError(
                tr("none of the labels to rename is in the data, which have {shown}", shown=shown)
            )
        clips = []
        for clip in self.clips:
            named = [names.get(label, label) for label in clip.labels]
            denied = [f"-{names.get(label, label)}" for label in clip.negatives]
            labels, negatives, _ = meaning_of([*named, *denied], clip.path)
            unsure = tuple(names.get(label, label) for label in clip.unsure)
            clips.append(replace(clip, labels=labels, negatives=negatives, unsure=unsure))
        classes = meaning_of((names.get(label, label) for label in self.classes), "names").labels
        several = any(len(clip.labels) > 1 for clip in clips)
        return replace(self, clips=tuple(clips), classes=classes, multi_label=several)

    @classmethod
    def _of(cls, found: Found) -> Self:
        duplicates = same_content(clip.path for clip in found.clips)
        groups = join_duplicates(found.clips, duplicates)
        clips = [
            clip if groups[clip.group] == clip.group else replace(clip, group=groups[clip.group])
            for clip in found.clips
        ]
        return cls(
            tuple(clips),
            tuple(sorted({label for clip in clips for label in clip.labels})),
            any(len(clip.labels) > 1 for clip in clips),
            tuple(found.left_out),
            tuple(found.skipped),
            tuple(duplicates),
            found.notes(),
        )

    def __len__(self) -> int:
        return len(self.clips)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Clip | Dataset:
        if isinstance(index, slice):
            return replace(self, clips=self.clips[index])
        return self.clips[index]

    def subset(self, indices: Iterable[int]) -> Self:
        """The clips with these numbers, in this order; classes stay those of the whole."""
        return replace(self, clips=tuple(self.clips[i] for i in indices))

    def targets(self) -> F32:
        """f32[N, C]: 1 where a class is present, 0 where it is absent, NaN where it is unknown."""
        columns = {label: number for number, label in enumerate(self.classes)}
        return label_targets(self.clips, columns, len(self.classes))

    def split(self, test: float = 0.25, seed: int = 0) -> Split:
        """A part to train on and a part to test, with no source recording in both.

        Every class is in both, where it has recordings enough; one with a single recording is
        trained on. Train and test parts of the data's own are kept; of folds of its own, whole ones
        are held out. The same seed gives the same parts, in whatever order the clips stand.
        Raises OptionError if nothing can be held out.
        """
        self.require_two_classes()
        return self._parted(test_mask(self.clips, test, seed))

    def folds(
        self, k: int | None = None, seed: int = 0, *, keep_predefined: bool = True
    ) -> list[Split]:
        """Each clip is held out once, and no source recording is in both parts.

        k: how many; None: as many as the data come with, else 5. Those are kept, and clips without
        one go where they are needed; train and test parts are one split. A class is held out in as
        many folds as it has recordings for. Raises OptionError.
        """
        self.require_two_classes()
        if keep_predefined and test_parts(clip.fold for clip in self.clips):
            return [self.split(seed=seed)]
        numbers, k = fold_numbers(self.clips, k, seed, keep_predefined)
        return [self._parted(numbers == fold) for fold in range(k)]

    def check(self, *, deep: bool = False) -> DatasetSummary[Self]:
        """Open every recording and report on it; deep: also decode it to its end."""
        return summarize(self, deep=deep)

    def _parted(self, mask: Bools) -> Split:
        train, test = (self.subset(np.flatnonzero(part).tolist()) for part in (~mask, mask))
        return Split(train, test)


class Split(NamedTuple):
    """One part to fit on, and one that is held out."""

    train: Dataset
    test: Dataset


def label_targets(clips: Sequence[Clip], columns: Mapping[str, int], size: int) -> F32:
    """f32[N, size], as `Dataset.targets`, with the labels in these columns."""
    targets = np.zeros((len(clips), size), np.float32)
    for row, clip in zip(targets, clips):
        if not clip.complete:
            unsure = [columns[label] for label in clip.unsure if label in columns]
            row[unsure if clip.unsure else slice(None)] = np.nan
        for value, labels in ((1.0, clip.labels), (0.0, clip.negatives)):
            row[[columns[label] for label in labels if label in columns]] = value
    return targets


def clip_targets(data: Dataset) -> tuple[F32, tuple[str, ...], bool]:
    """Targets f32[K, C], the C classes, and whether a clip may have several of them, or none.

    Raises OptionError if a class has the name that clips without one get.
    """
    targets = data.targets()
    if data.multi_label or np.isnan(targets).any():
        return targets, data.classes, True
    empty = targets.sum(axis=1) == 0
    if not empty.any():
        return targets, data.classes, False
    if BACKGROUND in data.classes:
        raise OptionError(
            tr("{background!r} is a class and the name of clips without one", background=BACKGROUND)
        )
    with_background = np.column_stack([targets, empty]).astype(np.float32)
    return with_background, (*data.classes, BACKGROUND), False


def check_targets(targets: F32, multi_label: bool) -> None:
    """Raise OptionError unless they are 1, 0 or NaN, and each row has one 1 without multi_label."""
    known = targets[~np.isnan(targets)]
    if not np.isin(known, (0, 1)).all():
        raise OptionError(tr("targets are 1, 0, or NaN where nobody knows"))
    if not multi_label and (len(known) != targets.size or (targets.sum(axis=1) != 1).any()):
        raise OptionError(tr("each clip has one class; several need multi_label"))


def accuracy(scores: F32 | F64, targets: F32, multi_label: bool) -> float:
    """The share of clips whose best class is theirs, or of known labels on their side of 0.5.

    scores, targets: [K, C].
    """
    if not multi_label:
        return float((scores.argmax(axis=1) == targets.argmax(axis=1)).mean())
    known = ~np.isnan(targets)
    return float(((scores >= 0.5) == (targets > 0))[known].mean())


def class_weights(targets: F32, multi_label: bool, balance: bool) -> F64:
    """f64[K, C]: what each clip weighs for each class; mean about 1, 0 where nothing is known.

    balance: a class weighs the same however many clips it has; with several labels, clips that
    have a rare class are raised by the root of its rarity.
    """
    known = ~np.isnan(targets)
    weights = known.astype(np.float64)
    if not balance:
        return weights
    present = np.nan_to_num(targets) > 0
    positive, negative = present.sum(axis=0), (known & ~present).sum(axis=0)
    if multi_label:
        ratio = np.sqrt(np.maximum(negative, 1) / np.maximum(positive, 1))
        return np.asarray(weights * np.where(present, ratio, 1))
    share = len(targets) / (np.count_nonzero(positive) * np.maximum(positive, 1))
    return np.asarray(weights * share[present.argmax(axis=1)][:, None])


def _folder(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    if not os.path.isdir(name):
        what = tr("is a file, not a folder") if os.path.exists(name) else tr("no such folder")
        raise OptionError(tr("{name}: {what}", name=name, what=what))
    return name


DatasetSource = Dataset | str | os.PathLike[str]
"""A dataset, or the path of one: a folder or a table, as `Dataset.load` reads them."""


def as_dataset(source: DatasetSource) -> Dataset:
    """The dataset itself, or what stands at the path. Raises OptionError."""
    if isinstance(source, Dataset):
        return source
    if isinstance(source, str | os.PathLike):
        return Dataset.load(source)
    raise OptionError(
        tr(
            "data must be a Dataset, or the path of a folder or table, not {name}; of clips of "
            "your own: oido.Dataset.from_clips(clips)",
            name=type(source).__name__,
        )
    )
