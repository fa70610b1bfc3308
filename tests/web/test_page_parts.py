# SPDX-License-Identifier: Apache-2.0
"""Small parts of the page, against Python and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oido.events.calibration import Calibrator
from oido.heads import ScoreCalibration
from tests.vectors.make_vectors import blocks_of, detector_of


@pytest.fixture
def page(parts: Any) -> Any:
    return parts


def test_numbers_are_written_as_python_writes_them(page: Any) -> None:
    rng = np.random.default_rng(5)
    ties = [k / 512 for k in range(1, 512, 14)] + [0.5, 1.5, 2.5, 0.0625]
    values = [*ties, *rng.random(200).astype(np.float32).astype(float), *(rng.random(200) * 4000)]
    values += [0.0, 1.0, 30.0, 1e-5, 1.25e-7, 86_400.48]

    written = page.evaluate(
        """async values => {
          const {fixed, rounded, floatText} = await import("./ui/numbers.js");
          return values.map(x => [floatText(rounded(x, 8)), fixed(x, 6), fixed(x, 0), fixed(x, 2)]);
        }""",
        [float(value) for value in values],
    )

    for value, texts in zip(values, written):
        x = float(value)
        assert texts == [repr(round(x, 8)), f"{x:.6f}", f"{x:.0f}", f"{x:.2f}"]


def test_the_spectrum_is_numpys(page: Any) -> None:
    rng = np.random.default_rng(6)
    samples = rng.standard_normal(512).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    expected = np.abs(np.fft.rfft(samples * window)) ** 2 * (4 / 512) ** 2

    powers = page.evaluate(
        """async samples => {
          const {powerSpectrum} = await import("./ui/fft.js");
          const out = new Float32Array(257);
          powerSpectrum(Float32Array.from(samples), out);
          return [...out];
        }""",
        samples.tolist(),
    )

    np.testing.assert_allclose(powers, expected, rtol=1e-3, atol=1e-6)


def test_memory_is_bounded_over_hours(page: Any) -> None:
    """12 simulated hours of windows; and the newest events are where they belong."""
    heard = page.evaluate(
        """async () => {
          const {Session} = await import("./ui/session.js");
          const {RecentAudio} = await import("./ui/recent.js");
          const labels = Array.from({length: 40}, (_, n) => `label ${n}`);
          const info = {labels, sampleRateHz: 16000, windowSamples: 15600, hopSamples: 7680,
                        calibrated: false, thresholds: null};
          const audio = new RecentAudio(16000, 600);
          const session = new Session({name: "day", engine: {info}, audio, isLive: true});
          const scores = new Float32Array(40);
          const count = 12 * 3600 / 0.48;
          const quiet = new Float32Array(7680).fill(0.001);
          for (let index = 0; index < count; index++) {
            session.addSamples(quiet);
            for (let n = 0; n < 15; n++) scores[n + 10] = 0.1;
            scores[7] = index % 1000 < 5 ? 0.9 : 0;
            session.add({index, scores, probabilities: null});
            if (index % 200 === 0) session.advance();
          }
          const second = new Float32Array(16000);
          for (let n = 0; n < 700; n++) audio.push(second);
          session.setLimits({threshold: 0.5, thresholds: null});
          session.finish(count * 7680);
          const {history, frames} = session;
          const last = session.events.at(-1);
          return {
            kept: history.end - history.first, end: history.end,
            frames: frames.end - frames.first, levels: frames.levels(0, Infinity).length,
            events: session.events.length,
            start: last.startTime, finish: last.endTime, samples: audio.nSamples - audio.first,
          };
        }"""
    )

    windows = 12 * 3600 / 0.48
    assert heard["end"] == windows
    assert 59_000 < heard["kept"] < 60_600
    assert 59_000 < heard["frames"] < 60_600
    assert 59_000 * 24 < heard["levels"] < 2 * 60_600 * 24
    assert 59 <= heard["events"] <= 61
    assert heard["samples"] == 600 * 16_000
    edge = 0.2475
    assert heard["start"] == pytest.approx((windows - 1000) * 0.48 + edge, abs=1e-6)
    assert heard["finish"] == pytest.approx((windows - 995) * 0.48 + edge, abs=1e-6)


def test_a_gap_ends_events_and_left_out_windows_do_not(page: Any) -> None:
    events = page.evaluate(
        """async () => {
          const {Session} = await import("./ui/session.js");
          const info = {labels: ["a"], sampleRateHz: 16000, windowSamples: 15600,
                        hopSamples: 7680, calibrated: false, thresholds: null};
          const session = new Session({name: "x", engine: {info}, audio: null, isLive: true});
          const add = (index, isAfterGap = false) =>
            session.add({index, scores: Float32Array.of(0.8), probabilities: null, isAfterGap});
          add(0); add(1); add(4);          // two were left out: the device was slow
          add(20, true); add(21);          // the server was away
          session.finish(22 * 7680);
          return session.events.map(event => [event.startTime, event.endTime]);
        }"""
    )

    edge = 0.2475
    assert events == [
        [0, pytest.approx(5 * 0.48 + edge)],
        [pytest.approx(20 * 0.48 + edge), pytest.approx(22 * 0.48)],
    ]


def test_probabilities_and_own_thresholds_make_the_events(page: Any) -> None:
    sigmoids = "1,10,-7\n1,10,-2"
    heard = page.evaluate(
        """async sigmoids => {
          const {Session} = await import("./ui/session.js");
          const {csv} = await import("./ui/exports.js");
          const {Calibrator, parseSigmoids} = await import("./core/calibration.js");
          const calibrator = new Calibrator({sigmoids: parseSigmoids(sigmoids, 2)});
          const info = {labels: ["a", "b, c"], sampleRateHz: 16000, windowSamples: 15600,
                        hopSamples: 7680, calibrated: true, thresholds: Float32Array.of(0.02, 0.9)};
          const session = new Session({name: "x.wav", engine: {info, calibrator}, audio: null});
          const rows = [[0, 0.5], [0, 0.45], [0, 0], [0.25, 0], [0.5, 0], [0, 0]];
          rows.forEach((row, index) => {
            const scores = Float32Array.from(row);
            session.add({index, scores, probabilities: calibrator.apply(scores)});
          });
          session.setLimits({threshold: 0.3, thresholds: info.thresholds});
          session.finish(5 * 7680 + 15600);
          const told = session.events.map(event => ({...event, file: session.name}));
          const also = ["d", "e, f", "g|h", "\\\\"];
          return csv([...told, {...told[0], also}], true).split("\\n");
        }""",
        sigmoids,
    )

    # The mean of the odds of 0.25 and 0.5, which are 1/3 and 1, is 2/3: a score of 0.4.
    odds = (1 + np.float64(np.float32(0.45)) / (1 - np.float64(np.float32(0.45)))) / 2
    scores = np.array([[0.4, odds / (1 + odds)]], np.float32)
    calibrator = Calibrator(ScoreCalibration.parse(sigmoids, 2))
    values = [round(float(x), 8) for x in (*scores[0], *calibrator.apply(scores)[0])]
    assert heard == [
        "file,channel,start_time,end_time,label,label_index,score,probability,also",
        f'x.wav,,0.0,1.2075,"b, c",1,{values[1]},{values[3]},',
        f"x.wav,,1.6875,2.6475,a,0,{values[0]},{values[2]},",
        f'x.wav,,0.0,1.2075,"b, c",1,{values[1]},{values[3]},"d|e, f|g\\|h|\\\\"',
        "",
    ]


def test_events_are_told_with_the_same_window_as_in_python(page: Any) -> None:
    """Of a second that is no louder; of a stream, whose samples come with its windows."""
    steps = [[[230 if 12 <= window <= 13 else 0]] * 3 for window in range(40)]
    windowing = {"sampleRateHz": 16_000, "windowSamples": 15_600, "hopSamples": 7_680}
    options = {"labels": ["a"], **windowing, "columns": 3, "imageSamples": 15_360}
    case = {
        "options": {**options, "leastSimilarity": None},
        "detection": {"thresholds": []},
        **dict.fromkeys(("calibration", "similarities")),
        "selection": {},
        "windows": steps,
        "levels": [[-60.0, 15_600 // 320 + 39 * 24]],
        "nSamples": 15_600 + 39 * 7_680,
    }
    detector = detector_of(case)
    blocks = blocks_of(case, [1] * 40)
    expected = [window for window, block in enumerate(blocks) if detector.push(block)]

    told = page.evaluate(
        """async ({options, steps}) => {
          const {Session} = await import("./ui/session.js");
          const {EventFinder} = await import("./core/events.js");
          const info = {...options, calibrated: false, thresholds: null};
          const session = new Session({name: "x", engine: {info}, audio: null, isLive: true});
          const finder = new EventFinder(info);
          const told = {session: [], finder: []};
          steps.forEach((parts, index) => {
            const count = index ? options.hopSamples : options.windowSamples;
            const samples = new Float32Array(count).fill(0.001);
            const columns = parts.map((row) => Float32Array.from(row, (step) => step / 256));
            const window = {index, scores: columns[0], probabilities: null, columns};
            const before = session.maker.events.length;
            session.addSamples(samples);
            session.add(window);
            session.advance();
            if (session.maker.events.length > before) told.session.push(index);
            const found = [...finder.addSamples(samples), ...finder.push(window)];
            if (found.length) told.finder.push(index);
          });
          return told;
        }""",
        {"options": options, "steps": steps},
    )

    assert len(expected) == 1
    assert told == {"session": expected, "finder": expected}


_PEAKS = """async (windows) => {
  const { Session } = await import("./ui/session.js");
  const info = { labels: ["dog", "cat"], calibrated: false, thresholds: null, leastSimilarity: 0.3,
    columns: 0, imageSamples: 10, kinship: null,
    sampleRateHz: 10, windowSamples: 10, hopSamples: 10 };
  const options = { name: "", engine: { info, calibrator: null }, audio: null };
  const session = new Session(options);
  for (const [index, novelty, ...scores] of windows) {
    const of = { scores: Float32Array.from(scores), probabilities: null, columns: null };
    session.add({ index, novelty, ...of });
  }
  const { history } = session;
  const again = new Session(options);
  again.history.restore(structuredClone(history.dump()));
  const told = (all) => {
    return all.map(({ labelIndex, score }) => [info.labels[labelIndex], Math.round(score * 100)]);
  };
  const [whole, kept] = [history, again.history].map((each) => told(each.peaks(9)));
  return { whole, again: kept, second: told(history.strongest(1, 9)) };
}"""


def test_the_highest_of_a_recording_is_of_what_was_taught(page: Any) -> None:
    """Windows unlike everything that a model was taught count for no class, as for events; at
    their own time their scores are shown as they are."""
    windows = [[0, 0.5, 0.4, 0.6], [1, 0.1, 0.9, 0.1], [3, 0.35, 0.5, 0.5]]  # 2 was left out
    found = page.evaluate(_PEAKS, windows)
    assert found["whole"] == found["again"] == [["cat", 60], ["dog", 50]]
    assert found["second"] == [["dog", 90], ["cat", 10]]
    # Full chunks, too.
    many = [[n, 0.1 if n % 2 else 0.5, *((0.9, 0.1) if n % 2 else (0.2, 0.3))] for n in range(600)]
    found = page.evaluate(_PEAKS, many)
    assert found["whole"] == found["again"] == [["cat", 30], ["dog", 20]]
