// SPDX-License-Identifier: Apache-2.0

/*
 * Holds the rules in JavaScript to the examples of tests/vectors. Runs in Node and in a browser: the one
 * that calls gives the modules and the examples, and gets the sentences of what differs.
 */

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** modules: the exports of core's files; examples: by the names of the files of tests/vectors. */
export function differences({ modules, examples }) {
  return [
    ...segmentation(modules, examples.segmentation),
    ...calibration(modules, examples.calibration),
    ...windows(modules, examples.windows),
    ...thresholds(modules, examples.thresholds),
  ];
}

function segmentation({ Segmenter, Calibrator, parseSigmoids }, cases) {
  const wrong = [];
  for (const { name, options, calibration, scores, nSamples, pushes, flush } of cases) {
    const sigmoids = calibration && parseSigmoids(calibration, options.labels.length);
    const calibrator = sigmoids && new Calibrator({ sigmoids });
    const segmenter = new Segmenter({ ...options, calibrator });
    const rows = scores.map((row) => Float32Array.from(row));
    const told = rows.map((row) => segmenter.push(row));
    told.push(segmenter.flush(nSamples));
    const expected = [...pushes, flush];
    told.forEach((events, index) => {
      const plain = events.map(({ displayName, ...event }) => event);
      if (!areNear(plain, expected[index])) {
        wrong.push(`${name}, window ${index}: ${JSON.stringify(plain)}, not ${JSON.stringify(expected[index])}`);
      }
    });
    // Windows that a slow device left out count as the last one that was heard.
    const gappy = new Segmenter({ ...options, calibrator });
    const full = new Segmenter({ ...options, calibrator });
    const heard = rows.flatMap((row, index) => (index % 2 ? [] : gappy.pushWindow({ index, scores: row })));
    const held = rows.slice(0, gappy.nWindows).flatMap((_, index) => full.push(rows[index - (index % 2)]));
    if (!same([...heard, ...gappy.flush(nSamples)], [...held, ...full.flush(nSamples)])) wrong.push(`${name}, every second`);
  }
  return wrong;
}

/** Events that are the same, but for the last digits of a probability. */
function areNear(events, expected) {
  const plain = (all) => all.map((event) => ({ ...event, probability: null }));
  if (!same(plain(events), plain(expected))) return false;
  return events.every((event, index) => {
    const [a, b] = [event.probability, expected[index].probability];
    return a === b || Math.abs(a - b) <= 1e-6;
  });
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
