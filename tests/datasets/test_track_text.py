# SPDX-License-Identifier: Apache-2.0
"""Label tracks and selection tables as programs and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oido.datasets.track_text import Track, TrackError, parse_track

Marks = list[tuple[float, float, str]]


def parse(folder: Path, text: str | bytes, name: str = "a.txt") -> Track:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return parse_track(str(path))


def marks(track: Track) -> Marks:
    return [(mark.start, mark.end, mark.text) for mark in track.marks]


PLAIN = "1.000000\t3.000000\tbúho\n65.500000\t66.000000\twren\n"
BOTH = [(1, 3, "búho"), (65.5, 66, "wren")]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(".", ","),
        PLAIN.replace("\t", "  ").replace(".", ","),
        PLAIN.replace("\t", " "),
        PLAIN.replace("\t", ";").replace(".", ","),
        PLAIN.replace("\t", ","),
        "\n" + PLAIN.replace("\n", "\n\n") + "\n  \n",
        "0:01\t0:03\tbúho\n1:05,5\t00:01:06\twren\n",
        "1.0\t3.0\tbúho\n\\\t500.0\t4000.0\n65.5\t66.0\twren\n\\\t-1.0\t-1.0\n",
        "1.0\t3.0\tbúho\t0.93\n65.5\t66.0\twren\t0.5\n",
        "start\tend\tlabel\n1\t3\tbúho\n65.5\t66\twren\n",
        "Onset,Offset,Label\n1,3,búho\n65.5,66,wren\n",
        "Start (s);End (s);Scientific name;Common name;Confidence\n1,0;3,0;x;búho;0,9\n"
        "65,5;66,0;y;wren;0,5\n",
        "sep=;\nSTART_TIME;END_TIME;Species\n0:01;0:03;búho\n1:05,5;1:06;wren\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tracks_of_many_programs(tmp_path: Path, text: str, encoding: str) -> None:
    track = parse(tmp_path, text.encode(encoding))
    assert marks(track) == BOTH
    assert not track.problems


@pytest.mark.parametrize("gap", [" ", "  ", "\t "])
def test_spaces_where_tabs_are_meant_keep_the_spaces_of_labels(tmp_path: Path, gap: str) -> None:
    text = f"1.0{gap}3.0{gap}Strix aluco, Tawny Owl\n"
    assert marks(parse(tmp_path, text)) == [(1, 3, "Strix aluco, Tawny Owl")]


def test_a_label_slightly_before_zero_starts_at_zero(tmp_path: Path) -> None:
    lines = "-0.052\t1.5\towl\n-0,5\t-0,5\tclick\n-3.0\t-1.5\tlost\n-2.0\t1.0\tcut\n5\t6\twren\n"
    track = parse(tmp_path, lines)
    assert marks(track) == [(0, 1.5, "owl"), (0, 0, "click"), (0, 1, "cut"), (5, 6, "wren")]
    assert [where for where, _ in track.problems] == [f"{tmp_path / 'a.txt'}, line 3"]
    assert "lies before the recording" in track.problems[0][1]
    table = parse(tmp_path, "start,end,label\n-2.0,1,cut\n-3,-2,lost\n5,6,wren\n")
    assert marks(table) == [(0, 1, "cut"), (5, 6, "wren")]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ('"1.0"\t"3.0"\t"owl"\r\n"5.0"\t"6.0"\t"wren"\r\n', "utf-8"),
        (" \\\t1\t2\n1\t3\towl\n \\\t500\t4000\n5\t6\twren\n", "utf-8"),
        (
            '"Selection"\t"Begin Time (s)"\t"End Time (s)"\t"Species"\n'
            '1\t1\t3\t"owl"\n2\t5\t6\t"wren"\n',
            "utf-8",
        ),
        (
            "#,Name,Start,End,Length\nR1,owl,0:01.000,0:03.000,0:02.000\n"
            "R2,wren,0:00:05.000,0:00:06.000,0:01.000\n",
            "utf-8",
        ),
        (
            "Name\tStart\tDuration\tTime Format\tType\tDescription\n"
            "owl\t0:01.000\t0:02.000\tdecimal\tCue\t\nwren\t0:05.000\t0:01.000\tdecimal\tCue\t\n",
            "utf-16",
        ),
        (
            "INDIR,IN FILE,CHANNEL,OFFSET,DURATION,AUTO ID,MANUAL ID\n"
            "D:\\,a.wav,0,1.0,2.0,x,owl\nD:\\,a.wav,0,5.0,1.0,y,wren\n",
            "utf-8",
        ),
    ],
    ids=["all quoted", "indented frequencies", "R", "Reaper", "Audition", "Kaleidoscope"],
)
def test_tables_of_more_programs(tmp_path: Path, text: str, encoding: str) -> None:
    track = parse(tmp_path, text.encode(encoding))
    assert marks(track) == [(1, 3, "owl"), (5, 6, "wren")]
    assert not track.problems


def test_one_odd_line_costs_that_line(tmp_path: Path) -> None:
    track = parse(tmp_path, PLAIN + "see notes of dusk\n70\t71\tlark\n")
    assert marks(track) == [*BOTH, (70, 71, "lark")]
    ((where, why),) = track.problems
    assert where == f"{tmp_path / 'a.txt'}, line 3"
    assert why == "is not start, end and label between tabs: 'see notes of dusk'"
    for text in ("seen at dusk\n", "a\nb\n1\t2\towl\n", "# 3 owls, 2 wrens\n"):
        with pytest.raises(TrackError, match="line 1 is not start, end and label"):
            parse(tmp_path, text)


def test_quotes_and_emoji_are_the_writers_own(tmp_path: Path) -> None:
    text = '1\t3\t"owl"\n5\t6\tShe said "hoo"\n7\t8\t🦉\n9\t10\t"Strix aluco, ""Tawny"""\n'
    labels = [text for _, _, text in marks(parse(tmp_path, text))]
    assert labels == ['"owl"', 'She said "hoo"', "🦉", 'Strix aluco, "Tawny"']


HEAD = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)"


def raven(*rows: str, head: str = "") -> str:
    return "\n".join([f"{HEAD}{head}\tSpecies", *rows]) + "\n"


def test_numbers_that_begin_anew(tmp_path: Path) -> None:
    view = "Spectrogram 1\t1"
    rows = [f"1\t{view}\t1\t3\towl", f"2\t{view}\t5\t6\twren", f"1\t{view}\t20\t22\towl"]
    text = raven(*rows, f"2\t{view}\t25\t26\twren")
    assert [start for start, _, _ in marks(parse(tmp_path, text))] == [1, 5, 20, 25]


def test_two_tables_joined_with_their_headers_cost_a_line(tmp_path: Path) -> None:
    one = raven("1\tSpectrogram 1\t1\t1\t3\towl")
    two = raven("1\tSpectrogram 1\t1\t20\t22\towl")
    track = parse(tmp_path, one + two)
    assert [start for start, _, _ in marks(track)] == [1, 20]
    assert [why for _, why in track.problems] == ["has no times"]


def test_several_views_and_channels_are_one_selection(tmp_path: Path) -> None:
    rows = [
        f"{number}\t{view} {channel}\t{channel}\t{number}\t{number}.5\t{label}"
        for number, label in ((1, "owl"), (2, "wren"))
        for view in ("Waveform", "Spectrogram")
        for channel in (1, 2)
    ]
    rows[0] = rows[0].removesuffix("owl")  # its label stands in the other views
    assert marks(parse(tmp_path, raven(*rows))) == [(1, 1.5, "owl"), (2, 2.5, "wren")]


def test_the_same_time_twice_in_one_view_is_two_labels(tmp_path: Path) -> None:
    rows = ["1\tSpectrogram 1\t1\t1\t3\towl", "1\tSpectrogram 1\t1\t1\t3\twren"]
    assert [label for _, _, label in marks(parse(tmp_path, raven(*rows)))] == ["owl", "wren"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", ["\t", ";"])
def test_file_offset_is_the_time_in_the_recording(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    head = "\tBegin Path\tFile Offset (s)\tBegin File"
    rows = [
        "1\tSpectrogram 1\t1\t301,1\t303,2\tD:\\card\\night.wav\t1,1\tnight.wav\tbúho",
        "2\tSpectrogram 1\t1\t640\t641\tD:\\card\\day.wav\t40\tday.wav\twren",
        "3\tSpectrogram 1\t1\t650\t651\tD:\\card\t50\tday.wav\twren",
        "4\tSpectrogram 1\t1\t7\t8\t\t\t\twren",
    ]
    text = raven(*rows, head=head).replace("\t", separator)
    track = parse(tmp_path, text.upper().replace("BÚHO", "búho").encode(encoding))
    assert marks(track) == [(1.1, 3.2, "búho"), (40, 41, "WREN"), (50, 51, "WREN"), (7, 8, "WREN")]
    assert [mark.file for mark in track.marks] == [
        "D:\\CARD\\NIGHT.WAV",
        "D:\\CARD\\DAY.WAV",
        "D:\\CARD/DAY.WAV",
        "",
    ]


LABELS = (
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=12
    )
    .map(str.strip)
    .filter(lambda text: text and text[0] not in '"\\' and text[-1] != '"')
)
TIMES = st.integers(0, 10**7).map(lambda ms: ms / 1000)


@given(
    st.lists(st.tuples(TIMES, TIMES, LABELS), min_size=1),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([".", ","]),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_track_is_read_back_in_any_dialect(
    tmp_path: Path, rows: Marks, encoding: str, end: str, point: str, is_raven: bool
) -> None:
    rows = [(min(a, b), max(a, b), label) for a, b, label in rows]
    lines = ["Begin Time (s)\tEnd Time (s)\tAnnotation"] if is_raven else []
    lines += [f"{a:.3f}\t{b:.3f}".replace(".", point) + f"\t{label}" for a, b, label in rows]
    track = parse(tmp_path, "".join(line + end for line in lines).encode(encoding))
    assert marks(track) == [(a, b, label.strip(" \u00a0\ufeff")) for a, b, label in rows]
