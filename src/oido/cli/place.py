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
from oido.params import AUDIO_SUFFIXES

FROM_FILE = "from-file"


def add_place(add: Callable[..., None], *dates: str) -> None:
    """The options, by `oido.cli.options.Arguments`; dates: what ``--date`` takes beside a day."""
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
    from oido.inference.species import ALL_YEAR, PLACE_THRESHOLD, species_at, week_of

    if args.model != BIRDNET:
        raise OptionError(
            tr("--place goes with --model {birdnet}, which has a model of places", birdnet=BIRDNET)
        )
    weeks = sorted({week_of(day) for day in _days(args)}) or [ALL_YEAR]
    fetch.fetch(card(BIRDNET), on_start=print_message)
    threshold = PLACE_THRESHOLD if args.place_threshold is None else args.place_threshold
    latitude, longitude = args.place
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
    from oido.models.labels import label_indices

    species = tuple(species_of(args))
    if args.allow:
        from oido.models.loading import load_model

        labels = load_model(BIRDNET).labels
        wanted = {labels[k] for k in label_indices(labels, args.allow)}
        species = tuple(label for label in species if label in wanted)
    denied = set(label_indices(species, args.deny)) if args.deny else set()
    left = tuple(label for k, label in enumerate(species) if k not in denied)
    if not left:
        raise OptionError(tr("none of the labels that are allowed is seen at that place"))
    return left


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
    from oido.results.name_time import time_in_name

    for name in _names(args.paths):
        moment = time_in_name(name)
        if moment is None:
            raise OptionError(
                tr("{name} has no date in its name; give a day: --date 2026-05-12", name=name)
            )
        yield moment.date()


def _names(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if not os.path.isdir(path):
            yield path
        for folder, _, files in os.walk(path):
            yield from (
                os.path.join(folder, name)
                for name in files
                if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES
            )
