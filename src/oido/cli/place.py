# SPDX-License-Identifier: Apache-2.0
"""``--place`` and ``--date``: only the species that may be there then."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import date

from oido.cli.terminal import print_message
from oido.errors import OptionError
from oido.messages import tr
from oido.models import fetch
from oido.models.registry import BIRDNET, card
from oido.params import PlaceOnEarth
from oido.paths import is_recording, walk

FROM_FILE = "from-file"


def add_place(add: Callable[..., None], *dates: str) -> None:
    """The options, by `oido.cli.arguments.Arguments`; dates: what ``--date`` takes beside a day."""
    add(
        "--place LAT,LON",
        f"only species that are seen there, of {BIRDNET}, by its own model of places and weeks",
        type=_read_place,
    )
    add(
        "--date DATE",
        f"with --place: in the week of this day, such as 2026-05-12{''.join(dates)} (default: all "
        "year)",
    )
    add(
        "--place-threshold X",
        "with --place: from how often seen a species counts, 0..1 (default 0.03)",
        type=float,
    )


def species_of(args: argparse.Namespace) -> dict[str, float]:
    """The labels that the options leave, the most frequent first. Raises OptionError."""
    from oido.inference.species import ALL_YEAR, species_at, week_of

    if args.model != BIRDNET:
        raise OptionError(
            tr("--place goes with --model {birdnet}, which has a model of places", birdnet=BIRDNET)
        )
    weeks = sorted({week_of(day) for day in _days(args)}) or [ALL_YEAR]
    fetch.fetch(card(BIRDNET), on_start=print_message)
    place = _place(args)
    latitude, longitude, threshold = place.latitude, place.longitude, place.threshold
    found: dict[str, float] = {}
    for week in weeks:
        for label, value in species_at(latitude, longitude, week).items():
            if value >= max(threshold, found.get(label, 0.0)):
                found[label] = value
    if not found:
        raise OptionError(
            tr("no species is seen at that place from {threshold:g} on", threshold=threshold)
        )
    when = (
        tr("all year")
        if weeks == [ALL_YEAR]
        else tr("in week {weeks} of 48", weeks=", ".join(map(str, weeks)))
    )
    if len(weeks) > 1:
        when += tr(" (each recording in its own)")
    on_message = (lambda _: None) if getattr(args, "quiet", False) else print_message
    on_message(
        tr(
            "{n_found} species are seen at {latitude:g},{longitude:g} {when}, from "
            "{threshold:g} on; `oido models info {birdnet} --labels --place "
            "{latitude:g},{longitude:g}` lists them",
            n_found=len(found),
            latitude=latitude,
            longitude=longitude,
            when=when,
            threshold=threshold,
            birdnet=BIRDNET,
        )
    )
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def limited(args: argparse.Namespace) -> tuple[str, ...]:
    """The labels to allow: species of the place, less what other options leave out."""
    left = tuple(species_of(args))
    if args.allow or args.deny:
        from oido.models.labels import label_indices, labels_from
        from oido.models.loading import load_model

        labels = load_model(BIRDNET).labels
        others = labels_from(args.labels_file, labels) if args.labels_file else ()
        wanted, denied = (
            {labels[k] for k in label_indices(labels, names, others)}
            for names in (args.allow, args.deny)
        )
        left = tuple(s for s in left if s not in denied and (s in wanted or not wanted))
    if not left:
        raise OptionError(tr("none of the labels that are allowed is seen at that place"))
    return left


def place_by_week(args: argparse.Namespace) -> PlaceOnEarth | None:
    """The place, if each recording is to be limited to species of its own week."""
    return _place(args) if args.date == FROM_FILE else None


def _place(args: argparse.Namespace) -> PlaceOnEarth:
    from oido.inference.species import PLACE_THRESHOLD

    threshold = PLACE_THRESHOLD if args.place_threshold is None else args.place_threshold
    latitude, longitude = args.place
    return PlaceOnEarth(latitude, longitude, threshold)


def _read_place(text: str) -> tuple[float, float]:
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        raise OptionError(
            tr("--place is LATITUDE,LONGITUDE, such as 48.1,11.6, not {text}", text=text)
        ) from None
    return latitude, longitude


def _days(args: argparse.Namespace) -> Iterator[date]:
    if args.date is None:
        return
    if args.date != FROM_FILE or not hasattr(args, "paths"):
        try:
            yield date.fromisoformat(args.date)
        except ValueError:
            raise OptionError(
                tr("--date is a day such as 2026-05-12, not {date}", date=args.date)
            ) from None
        return
    from oido.name_time import time_in_name

    for name in _names(args.paths):
        moment = time_in_name(name)
        if moment is None:
            raise OptionError(
                tr("{name} has no date in its name; give a day: --date 2026-05-12", name=name)
            )
        yield moment.date()


def _names(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path):
            yield from (name for name, _ in walk(path, is_recording).files)
        else:
            yield path
