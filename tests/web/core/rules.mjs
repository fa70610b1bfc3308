// SPDX-License-Identifier: Apache-2.0

/*
 * Holds the rules in JavaScript to the examples of tests/vectors. Runs in Node and in a browser: the one
 * that calls gives the modules and the examples, and gets the sentences of what differs.
 */

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** The examples, by the names of the files of tests/vectors, and the modules of core/ that they are of. */
export const NAMES = [
  ...["levels", "stretches", "frames", "choice", "segmentation"],
  ...["calibration", "windows", "thresholds", "heads"],
];
export const FILES = [
  ...["level", "stretches", "framewise", "choice", "detector"],
  ...["calibration", "windowing", "thresholds", "head_fit"],
];

/** modules: the exports of core's files; examples: by their names. */
export function differences({ modules, examples }) {
  const checks = { levels, stretches, frames, choice, segmentation, calibration, windows, thresholds, heads };
  return NAMES.flatMap((name) => checks[name](modules, examples[name]));
}

const spread = (runs) => Float32Array.from(runs.flatMap(([value, count]) => Array(count).fill(value)));
const rowsOf = (steps) => steps.map((row) => Float32Array.from(row, (step) => step / 256));
const plain = (rows) => rows.map((row) => [...row]);

function levels({ LevelMeter }, cases) {
  const wrong = [];
  for (const { name, sampleRateHz, pushes } of cases) {
    const meter = new LevelMeter(sampleRateHz);
    for (const { samples, levels: expected } of pushes) {
      const found = [...meter.push(Float32Array.from(samples))];
      const isRight = found.length === expected.length && found.every((db, n) => Math.abs(db - expected[n]) < 1e-4);
      if (!isRight) wrong.push(`levels, ${name}: ${found}, not ${expected}`);
    }
  }
  return wrong;
}

function stretches({ SilenceFinder, StretchFinder }, cases) {
  const wrong = [];
  for (const { name, levels: runs, step, steps, stretches: expected, silences } of cases) {
    const all = spread(runs);
    const [finder, silenceFinder] = [new StretchFinder(), new SilenceFinder()];
    const found = steps.map((_, number) => {
      for (const each of [finder, silenceFinder]) each.push(all.subarray(number * step, (number + 1) * step));
      return [finder.nKnown, finder.openFrom, finder.closed.length];
    });
    finder.flush();
    const told = finder.closed.map(({ first, end, isCut }) => [first, end, isCut]);
    if (!same([found, told], [steps, expected])) wrong.push(`stretches, ${name}: ${JSON.stringify([found, told])}`);
    // An end that is Infinity is null as JSON.
    if (!same(silenceFinder.found(), silences)) wrong.push(`silences, ${name}: ${JSON.stringify(silenceFinder.found())}`);
  }
  return wrong;
}

function frames({ FrameGrid, FrameScores, WindowFrames }, cases) {
  const wrong = [];
  for (const { name, windows: all, isPadded, pushes, flush, nSamples, spans, hasSimilarity, ...sizes } of cases) {
    const grid = new FrameGrid(sizes);
    const scores = new FrameScores(grid, hasSimilarity);
    const found = all.map((columns, index) => plain(scores.push(rowsOf(columns), isPadded[index])));
    if (!same([found, plain(scores.flush(nSamples))], [pushes, flush])) wrong.push(`frames, ${name}`);
    if (!same(spans.map((_, frame) => grid.span(frame)), spans)) wrong.push(`spans of frames, ${name}`);
    // The same where it is not said which windows are padded, but how many samples there are.
    const windowFrames = new WindowFrames({ ...sizes, leastSimilarity: hasSimilarity ? 0.5 : null });
    const again = all.map((steps, index) => {
      const rows = rowsOf(steps); // of windows with a similarity it is behind each column's scores
      const columns = hasSimilarity ? rows.map((row) => row.slice(0, -1)) : rows;
      const novelty = hasSimilarity ? rows[0].at(-1) : null;
      const end = index * sizes.hopSamples + sizes.windowSamples;
      const there = isPadded[index] ? (isPadded[0] ? 0 : nSamples) : end;
      return plain(windowFrames.push({ index, columns, novelty, scores: columns[0] }, there));
    });
    if (!same([again, plain(windowFrames.flush(nSamples))], [pushes, flush])) wrong.push(`windows' frames, ${name}`);
  }
  return wrong;
}

function choice({ Choice }, cases) {
  const wrong = [];
  for (const { name, kinship, keepsAll, spans, kept } of cases) {
    const made = spans.map(([index, start, end, strength]) => ({ index, start, end, strength, also: new Set() }));
    const told = new Choice(kinship, keepsAll).choose(made, ({ strength }) => strength);
    const found = told.map((span) => [made.indexOf(span), [...span.also]]);
    if (!same(found, kept)) wrong.push(`choice, ${name}: ${JSON.stringify(found)}, not ${JSON.stringify(kept)}`);
  }
  return wrong;
}

function segmentation({ EventDetector, WindowFrames, Calibrator, parseSigmoids }, cases) {
  const wrong = [];
  for (const { name, options, calibration: text, similarities, levels: runs, nSamples, ...example } of cases) {
    const sigmoids = text && parseSigmoids(text, options.labels.length);
    const calibrator = sigmoids && new Calibrator({ sigmoids });
    const frames = new WindowFrames(options);
    const detector = new EventDetector({ ...options, grid: frames.grid, calibrator });
    const all = spread(runs);
    const count = example.windows.length;
    let known = 0;
    const over = [];
    const told = example.windows.map((steps, window) => {
      const columns = rowsOf(steps);
      const of = { index: window, columns, scores: columns[0], novelty: similarities?.[window] };
      const samples = window * options.hopSamples + options.windowSamples;
      const there = window === count - 1 ? all.length : Math.floor(samples / Math.floor(options.sampleRateHz / 50));
      const events = detector.push(frames.push(of, Math.min(samples, nSamples)), all.subarray(known, there));
      known = Math.max(known, there);
      const ongoing = detector.ongoing();
      // What Python tells as begun is in the list, unless it was joined to what waits for it.
      for (const begun of options.mergeGap ? [] : (example.begun[window] ?? [])) {
        if (!ongoing.some((event) => event.labelIndex === begun.labelIndex && event.startTime <= begun.startTime)) {
          wrong.push(`${name}, window ${window}: ${begun.label} has begun`);
        }
      }
      // No row of what goes on is left beside that of the same sound when it is over.
      over.push(...events);
      for (const event of ongoing) {
        const isStale = over.some((each) => each.labelIndex === event.labelIndex && each.endTime > event.startTime);
        if (isStale) wrong.push(`${name}, window ${window}: ${event.label} is stale`);
      }
      return events;
    });
    told.push(detector.flush(frames.flush(nSamples), nSamples));
    if (detector.ongoing().length) wrong.push(`${name}: something goes on behind the end`);
    told.forEach((events, window) => {
      const expected = (window === count ? example.flush : example.pushes[window]) ?? [];
      const found = events.map(({ displayName, ...event }) => event);
      if (!areNear(found, expected)) {
        wrong.push(`${name}, window ${window}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
      }
    });
  }
  return wrong;
}

/** Events that are the same, but for the last digits of scores and probabilities. */
function areNear(events, expected) {
  const bare = (all) => all.map((event) => ({ ...event, score: null, probability: null }));
  if (!same(bare(events), bare(expected))) return false;
  return events.every((event, index) =>
    ["score", "probability"].every((name) => {
      const [a, b] = [event[name], expected[index][name]];
      return a === b || (a !== null && b !== null && Math.abs(a - b) <= 1e-6);
    }),
  );
}

function calibration({ Calibrator, parseSigmoids }, cases) {
  const wrong = [];
  for (const { name, text, transformation, defaultScore, scores, probabilities } of cases) {
    let found = null;
    try {
      const sigmoids = parseSigmoids(text, scores[0].length);
      const calibrator = new Calibrator({ sigmoids, transformation, defaultScore });
      found = scores.map((row) => [...calibrator.apply(Float32Array.from(row))]);
    } catch (error) {
      if (error.kind !== "OptionError") throw error;
    }
    const all = found?.flat();
    const isRight =
      found === null || probabilities === null
        ? found === probabilities
        : probabilities.flat().every((p, index) => Math.abs(p - all[index]) <= 1e-6);
    if (!isRight) wrong.push(`calibration ${name}: ${JSON.stringify(found)}, not ${JSON.stringify(probabilities)}`);
  }
  return wrong;
}

function windows({ Windowing }, cases) {
  const wrong = [];
  for (const { nSamples, count, cells, ...params } of cases) {
    const windowing = new Windowing(params);
    const found = Array.from({ length: count }, (_, index) => windowing.cell(index, count, nSamples));
    if (windowing.count(nSamples) !== count || !same(found, cells)) wrong.push(`windows of ${nSamples}`);
  }
  return wrong;
}

function thresholds({ parseThresholds }, cases) {
  const wrong = [];
  for (const { text, pairs } of cases) {
    let found = null;
    try {
      found = parseThresholds(text);
    } catch (error) {
      if (error.kind !== "OptionError") throw error;
    }
    if (!same(found, pairs)) wrong.push(`${JSON.stringify(text)}: ${JSON.stringify(found)}, not ${JSON.stringify(pairs)}`);
  }
  return wrong;
}

function heads({ fitHead, headScores }, cases) {
  const wrong = [];
  const row = (steps) => Float32Array.from(steps, (step) => step / 64);
  for (const { name, nClasses, clips, silence, tried, scores } of cases) {
    const learnt = clips.map(({ label, rows, weights }) => ({ label, rows: rows.map(row), weights }));
    const head = fitHead(learnt, nClasses, silence && row(silence));
    const found = tried.map((steps) => [...headScores(head, row(steps))]);
    const off = Math.max(...found.flatMap((each, n) => each.map((score, c) => Math.abs(score - scores[n][c]))));
    if (!(off <= 1e-5)) wrong.push(`heads, ${name}: off by ${off}`);
  }
  return wrong;
}
