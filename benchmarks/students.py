# SPDX-License-Identifier: Apache-2.0
"""Students beside their teachers, sources held out.

    python benchmarks/students.py            ten classes of ESC-10; then five, with background
    python benchmarks/students.py --minutes 1            of each student's own training, at most

Prints a Markdown table. Folds 4 and 5 of ../shared/audio/esc10 are held out. The second set is of
Dog bark, Rooster, Baby cry, Person sneeze and Chainsaw, with the five other classes as
background. Minutes are of the processor, and the teacher's are among them.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path

import oido
from oido.training.student import train_student

ESC10 = Path(__file__).resolve().parents[1].parent / "shared" / "audio" / "esc10"
FIVE = ("Dog bark", "Rooster", "Baby cry", "Person sneeze", "Chainsaw")
COLUMNS = (
    "weights",
    "bytes of the file",
    "bytes of the arena",
    "accuracy of the teacher, held out",
    "accuracy of the student, held out",
    "false events per hour, teacher",
    "false events per hour, student",
    "steps",
)
BEHIND = ("Rain", "Sea waves", "Fire crackling", "Helicopter", "Clock tick")


def rows_of(labels: tuple[str, ...], background: tuple[str, ...]) -> list[tuple[Path, str, str]]:
    with open(ESC10 / "clips.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = {*labels, *background} - {row["label"] for row in rows}
    assert not missing, f"the set has no {missing}"
    found = []
    for row in rows:
        name = row["label"]
        if not labels or name in labels or name in background:
            label = "background" if name in background else name
            part = "test" if int(row["fold"]) > 3 else "train"
            found.append((ESC10 / row["file"], label, part))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="yamnet/classification")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float)
    args = parser.parse_args()
    sets = {"ten classes": rows_of((), ()), "five, and background": rows_of(FIVE, BEHIND)}
    print(f"| {' | '.join(['students', *COLUMNS, 'reference kernels', 'minutes'])} |")
    print(f"|---|{'---:|' * (len(COLUMNS) + 2)}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, rows in sets.items():
            table = Path(scratch, "clips.csv")
            lines = [f'"{path}","{label}",{part}' for path, label, part in rows]
            table.write_text("\n".join(["file,label,fold", *lines]), encoding="utf-8")
            started = time.process_time()
            result = train_student(
                oido.Dataset.load(table), model=args.model, seed=args.seed, max_minutes=args.minutes
            )
            minutes = (time.process_time() - started) / 60
            cells = [name, *(result.facts[fact] for fact in COLUMNS), result.kernels]
            print(f"| {' | '.join(map(str, cells))} | {minutes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
