# SPDX-License-Identifier: Apache-2.0
"""The container's clock counts: late sound, gaps, overlaps, damage, and clocks that begin anew."""

from __future__ import annotations

import io
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oido.datasets.clip import Clip
from oido.datasets.waveforms import clip_waveform, probe
from oido.live.pipe import ContainerReader
from oido.signal.decode import open_audio
from oido.signal.decode.clock import decoder_delay, timed
from tests.fuzz import made_clocks
from tests.signal.decode.clocks import click_at, film, with_clicks, zeroed
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.sounds import stack

RATE = 48_000
SOUND = with_clicks(12, RATE)


def read(content: bytes) -> tuple[Any, NDArray[np.float32]]:
    reader = open_audio(content)
    with reader:
        return reader, stack(reader.blocks(), reader.info.channels)


FILMS = [
    ("matroska", "aac"),
    ("matroska", "flac"),
    ("matroska", "libopus"),
    ("matroska", "libmp3lame"),
    ("webm", "libopus"),
    ("mp4", "aac"),
    ("mov", "aac"),
    ("mov", "pcm_s16le"),
    ("mpegts", "aac"),
    ("flv", "aac"),
]


@pytest.mark.parametrize(("container", "codec"), FILMS)
def test_sound_that_begins_after_the_picture_stands_where_it_is_heard(container, codec):
    rate = 44_100 if container == "flv" else RATE
    sound = with_clicks(12, rate)
    video = {"webm": "libvpx", "flv": "flv"}.get(container, "mpeg4")
    content = film(sound, rate, container, codec, later=lambda _: 5.0, video=video)
    reader, decoded = read(content)
    assert reader.gaps_seconds == pytest.approx(5.0, abs=0.1)
    assert not decoded[: round(4.8 * rate)].any()
    assert click_at(decoded, rate, 5.0, 6.2) == pytest.approx(5.5, abs=0.09)
    assert click_at(decoded, rate, 10.9, 12.0) == pytest.approx(11.5, abs=0.09)


@pytest.mark.parametrize(("container", "codec"), [f for f in FILMS if f[1] != "pcm_s16le"])
def test_what_was_not_sent_is_silence_and_shifts_nothing(container, codec):
    rate = 44_100 if container == "flv" else RATE
    sound = with_clicks(12, rate)
    content = film(
        sound, rate, container, codec, later=lambda t: 10.0 if t >= 6.0 else 0.0, video=None
    )
    reader, decoded = read(content)
    assert reader.gaps_seconds == pytest.approx(10.0, abs=0.05)
    assert len(decoded) / rate == pytest.approx(22.0, abs=0.1)
    assert click_at(decoded, rate, 5.0, 6.0) == pytest.approx(5.5, abs=0.09)
    assert np.isnan(click_at(decoded, rate, 6.2, 15.9))
    assert click_at(decoded, rate, 20.0, 21.0) == pytest.approx(20.5, abs=0.09)


def test_a_pipe_has_the_same_gaps_as_the_file():
    content = film(SOUND, RATE, "matroska", "flac", later=lambda t: 3.0 * (t > 4.0), video=None)
    _, expected = read(content)
    gaps: list[float] = []
    reader = ContainerReader(io.BytesIO(content), on_gap=lambda gap: gaps.append(gap.seconds))
    found = stack(reader.blocks(), 1)
    assert gaps == pytest.approx([3.0], abs=0.005)
    assert reader.gaps_seconds == pytest.approx(3.0, abs=0.005)
    np.testing.assert_array_equal(found, expected)


def test_a_region_of_a_dataset_is_cut_by_the_same_clock(tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(film(SOUND, RATE, "matroska", "flac", later=lambda _: 5.0))
    assert probe(str(path), deep=True).duration == pytest.approx(17.0, abs=0.05)
    waveform, rate = clip_waveform(Clip(str(path), start_time=10.0, end_time=11.0))
    assert click_at(waveform[:, None], rate, 0.0, 1.0) == pytest.approx(0.5, abs=0.02)


DAMAGED = [
    ("ipod", "aac"),
    ("ipod", "alac"),
    ("flac", "flac"),
    ("ogg", "libopus"),
    ("ogg", "vorbis"),
    ("ogg", "flac"),
    ("mp3", "libmp3lame"),
    ("adts", "aac"),
    ("ac3", "ac3"),
]


@pytest.mark.parametrize(("container", "codec"), DAMAGED)
def test_a_damaged_stretch_is_reported_and_shifts_nothing(container, codec):
    if codec == "vorbis":
        content = by_soundfile(SOUND, RATE, "OGG", "VORBIS")
    else:
        content = by_av(SOUND, RATE, container, codec)
    whole, heard = read(content)
    assert (whole.damaged_packets, whole.gaps_seconds) == (0, 0.0)
    reader, decoded = read(zeroed(content, 4.2, 7.3))
    assert reader.damaged_packets > 0
    assert reader.gaps_seconds == pytest.approx(3.1, abs=1.1)
    # By its bytes, at the variable rate of AAC, the length is about right.
    tolerance = 0.5 if container == "adts" else 0.03
    for second in (1, 2, 9, 10):
        expected = click_at(heard, RATE, second, second + 1)
        found = click_at(decoded, RATE, expected - 0.5, expected + 0.6)
        assert found == pytest.approx(expected, abs=tolerance), second


def test_bits_that_were_flipped_in_flac_are_no_noise():
    """Its frames have checksums."""
    content = bytearray(by_av(SOUND * 0.1, RATE, "flac", "flac"))
    for at in range(len(content) // 3, len(content) * 2 // 3, len(content) // 20):
        content[at] ^= 0x40
    reader, decoded = read(bytes(content))
    assert reader.damaged_packets > 3
    assert len(decoded) == len(SOUND)
    assert np.abs(decoded).max() < 0.06


@pytest.mark.parametrize(
    ("container", "codec"),
    [("ipod", "aac"), ("mov", "aac"), ("mp4", "libopus"), ("mp3", "libmp3lame")],
)
@pytest.mark.parametrize("n", [RATE, RATE + 1, RATE + 777, 3 * RATE - 5])
def test_priming_and_padding_are_cut_to_the_sample(container, codec, n):
    reader, decoded = read(by_av(SOUND[:n], RATE, container, codec))
    assert len(decoded) == n
    assert reader.gaps_seconds == reader.overlap_seconds == 0.0


def frames(times: list[float | None], samples: int = 1_000) -> list[Any]:
    """Frames of a track at 1 kHz, whose clock counts in thousandths."""
    return [
        SimpleNamespace(
            pts=None if t is None else round(t * 1000),
            time_base=Fraction(1, 1000),
            samples=samples,
            sample_rate=1000,
        )
        for t in times
    ]


@pytest.mark.parametrize(
    ("times", "missing"),
    [
        ([0, 1, 2, 3], [0, 0, 0, 0]),
        ([0, 1, 4, 5], [0, 0, 2, 0]),
        ([0, 1, 1.5, 2.5], [0, 0, -0.5, 0]),
        ([0, 1, 9, 3, 4], [0, 0, 0, 0, 0]),  # one that is wrong
        ([0, 1, 2.02, 3, 4], [0, 0, 0, 0, 0]),  # it trembled
        ([0, 1, 2.02, 3.02, 4.02], [0, 0, 0.02, 0, 0]),
        ([0, None, None, 5, 6], [0, 0, 0, 2, 0]),
        ([4, None, None, None], [4, 0, 0, 0]),  # the first one alone has a time
        ([0, 1, 7, None, None], [0, 0, 5, 0, 0]),
        ([0, 1, 2, 3, 0, 1, 2], [0, 0, 0, 0, 0, 0, 0]),  # another recording begins
        ([0, 1, 90_000, 90_001], [0, 0, 0, 0]),
        ([0, 1, 7, 11, 12], [0, 0, 5, 3, 0]),
        ([3, 4, 5], [3, 0, 0]),
        ([-1, 0, 1], [0, 0, 0]),
        ([0, 1, 6], [0, 0, 4]),
    ],
)
def test_what_is_missing_before_each_frame(times, missing):
    found = list(timed(frames(times), 0.0))
    assert [item[1] for item in found] == pytest.approx(missing, abs=1e-9)
    assert [item[2] for item in found] == [0.0] * len(times)


@given(
    steps=st.lists(st.tuples(st.integers(2, 30), st.floats(0.2, 300.0)), max_size=6),
    jitter=st.lists(st.floats(-0.004, 0.004), min_size=1, max_size=7),
    zero=st.floats(-5.0, 100_000.0),
)
@settings(max_examples=300, deadline=None)
def test_gaps_of_any_size_and_place_are_found_whatever_the_clock_trembles(steps, jitter, zero):
    times, missing, at = [0.0, 1.0, 2.0], [0.0, 0.0, 0.0], 3.0
    for count, gap in steps:
        at += gap
        times += [at + i for i in range(count)]
        missing += [gap] + [0.0] * (count - 1)
        at += count
    trembling = [zero + t + jitter[i % len(jitter)] / 2 for i, t in enumerate(times)]
    found = list(timed(frames(trembling), zero))
    assert len(found) == len(times)
    assert [item[1] for item in found] == pytest.approx(missing, abs=0.011)


@given(times=st.lists(st.one_of(st.none(), st.floats(-1e7, 1e7)), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_clock_loses_or_repeats_a_frame(times):
    items = frames(times)
    found = list(timed(items, 0.0))
    assert [id(item[0]) for item in found] == [id(frame) for frame in items]
    assert sum(max(0.0, item[1]) for item in found) <= 86_400.0


@given(gap=st.floats(0.3, 20.0), at=st.floats(1.0, 3.0), late=st.sampled_from([0.0, 0.5, 4.0]))
@settings(max_examples=12, deadline=None)
def test_generated_containers_keep_their_times(gap, at, late):
    sound = with_clicks(4, 16_000)
    content = film(
        sound, 16_000, "matroska", "flac", later=lambda t: late + gap * (t >= at), video="mpeg4"
    )
    reader, decoded = read(content)
    assert reader.gaps_seconds == pytest.approx(late + gap, abs=0.01)
    assert len(decoded) / 16_000 == pytest.approx(4.0 + late + gap, abs=0.02)


@pytest.mark.parametrize(
    ("at", "gaps", "overlap"),
    [
        ([5_000, 5_100, 5_200, 5_300, 5_000, 5_100], 0.0, 0.2),  # only what is there
        ([5_000, 5_100, 5_200, 5_300, 5_000, 5_100, 5_700, 5_800], 0.3, 0.2),  # back, and on
        ([5_000, 5_100, 5_200, 5_300, 5_000, 5_100, 5_300, 5_400], 0.0, 0.3),
        ([0, 100, 200, 300, 1_400, 1_500, 0, 100, 200], 1.0, 0.0),  # begins anew
        ([0, 100, 500, 600, 700], 0.3, 0.0),
    ],
)
@pytest.mark.parametrize("is_pipe", [False, True])
def test_what_is_told_is_what_was_inserted_and_cut(at, gaps, overlap, is_pipe):
    content = made_clocks.matroska(at)
    reader = ContainerReader(io.BytesIO(content)) if is_pipe else open_audio(content)
    decoded = stack(reader.blocks(), 1)
    rate, n_sound = made_clocks.RATE_HZ, len(at) * made_clocks.BLOCK_SAMPLES
    assert reader.gaps_seconds == pytest.approx(gaps, abs=0.001)
    assert int((decoded == 0).sum()) == pytest.approx(gaps * rate, abs=2)
    assert len(decoded) - n_sound == pytest.approx((gaps - overlap) * rate, abs=2)
    if not is_pipe:
        assert reader.overlap_seconds == pytest.approx(overlap, abs=0.001)


@pytest.mark.parametrize(
    ("container", "codec", "video"),
    [
        ("mpegts", "aac", "mpeg2video"),  # on a pipe, only its first frame has a time
        ("matroska", "libopus", "mpeg4"),
        ("nut", "flac", "mpeg4"),
        ("flv", "aac", "flv"),
        ("flv", "libmp3lame", "flv"),  # these do not list their tracks
        ("mpeg", "mp2", "mpeg2video"),
        ("mpeg", "ac3", "mpeg2video"),
    ],
)
def test_late_sound_on_a_pipe_stands_where_it_does_in_the_file(container, codec, video):
    rate = 44_100 if container == "flv" else RATE
    sound = with_clicks(4, rate)
    content = film(sound, rate, container, codec, later=lambda _: 2.0, video=video)
    _, whole = read(content)
    assert click_at(whole, rate, 2.0, 3.0) == pytest.approx(2.5, abs=0.03)
    reader = ContainerReader(io.BytesIO(content))
    decoded = stack(reader.blocks(), 1)
    assert reader.gaps_seconds == pytest.approx(2.0, abs=0.03)
    assert click_at(decoded, rate, 4.0, 5.0) == pytest.approx(
        click_at(whole, rate, 4.0, 5.0), abs=0.002
    )


@pytest.mark.parametrize("is_pipe", [False, True])
def test_a_picture_that_begins_later_costs_no_sound(is_pipe):
    """FLV declares no tracks: on a pipe, nobody knows of this one before it comes."""
    rate, buffer = 44_100, io.BytesIO()
    with av.open(buffer, "w", format="flv") as output:
        picture, sound = output.add_stream("flv", rate=10), output.add_stream("aac", rate=rate)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound.layout, sound.time_base = "mono", Fraction(1, rate)
        samples = with_clicks(6, rate).astype(np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        packets = [*sound.encode(frame), *sound.encode(None)]
        for number in range(30):
            image = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            image.pts = 30 + number
            packets += picture.encode(image)
        packets += picture.encode(None)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            output.mux(packet)
    content = buffer.getvalue()
    reader = ContainerReader(io.BytesIO(content)) if is_pipe else open_audio(content)
    decoded = stack(reader.blocks(), 1)
    assert len(decoded) / rate == pytest.approx(6.0, abs=0.06)
    assert click_at(decoded, rate, 5.0, 6.0) == pytest.approx(5.5, abs=0.03)
    assert reader.damaged_packets == 0


@pytest.mark.parametrize(
    ("first_pts", "pts", "start", "zero", "expected"),
    [
        (0, 43, 0, 0.0, 0.043),  # what the decoder keeps is no silence
        (-3, 0, 0, 0.0, 0.0),  # priming that the container tells of
        (4_957, 5_043, 4_957, 0.0, 0.0),  # a late track: the frame's own time counts
        (0, 900, 0, 0.0, 0.0),  # too much to be kept
    ],
)
def test_what_a_decoder_keeps_of_the_first_packet(first_pts, pts, start, zero, expected):
    tick = Fraction(1, 1000)
    frame = SimpleNamespace(pts=pts, time_base=tick)
    stream = SimpleNamespace(start_time=start, time_base=tick)
    assert decoder_delay(stream, first_pts, frame, 0, zero) == pytest.approx(expected)
    assert decoder_delay(stream, first_pts, frame, 1, zero) == 0.0
