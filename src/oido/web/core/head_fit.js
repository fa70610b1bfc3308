// SPDX-License-Identifier: Apache-2.0

/*
 * A linear head on embeddings, fitted here: what `fit_linear` of oido.training.fit fits with its own options (softmax,
 * classes balanced, silence as one example of nothing, scales evened, penalised maximum likelihood). The problem is
 * convex, so its one answer does not depend on how it is found; tests/vectors holds both to the same answers.
 *
 * It is found in the space of the examples, of which there are few, and not in that of the embedding: the best weights
 * are a sum of examples.
 */

const STRENGTH = 30; // what a clip's log loss weighs against ½·|weights|²
const SILENCE = 0.1; // weight of the silent example, as a share of all clips
const PRIOR_CLIPS = 50; // that it takes to believe, as much as not, that features differ in their spread
const SMALLEST = 1e-30;
const MOST_STEPS = 1000;
const REMEMBERED = 10; // steps, from which the next one is told
const SUFFICIENT = 1e-4; // of the slope, that a step must gain
const SHORTEST = 1e-6; // share of a step
const ROUNDING = 1e-13; // of the sum of all losses
const STILL = 1e-7; // of logits: less than this in a step is none
const ROUGHLY_STILL = 1e-3;

/**
 * A clip as it is learnt: the embeddings of its windows, and how much of each is sound, 0..1. label: of its class.
 * directions: where each points (`core/novelty.js`), of a model that tells what is unknown.
 * @typedef {{rows: Float32Array[], weights: number[], label: number, directions: Float32Array[] | null}} LearntClip
 *
 * logits = weights · (√)embedding + bias, weights being Float32Array(D) of each class.
 * @typedef {{weights: Float32Array[], bias: Float32Array, squareRoot: boolean}} LinearHead
 *
 * One embedding that is learnt from. target: a share of each class.
 * @typedef {{row: ArrayLike<number>, weight: number, target: Float64Array}} View
 */

/**
 * silence: the embedding of digital silence, or null. isRough: for a judgement, which needs no more.
 * @param {LearntClip[]} clips
 * @param {number} nClasses
 * @param {Float32Array | null} [silence]
 * @param {{isRough?: boolean}} [options]
 * @returns {LinearHead}
 */
export function fitHead(clips, nClasses, silence = null, { isRough = false } = {}) {
  const squareRoot = clips.every(({ rows }) => rows.every((row) => row.every((value) => value >= 0)));
  const views = viewsOf(clips, nClasses, silence);
  const features = views.map(({ row }) => featuresOf(row, squareRoot));
  const total = views.reduce((sum, { weight }) => sum + weight, 0);
  const shares = views.map(({ weight }) => weight / total);
  const scales = evenedScales(features, shares, clips.length);
  const scaled = features.map((row) => row.map((value, d) => value * scales[d]));
  const { centred, centre, length } = centredRows(scaled, shares);
  const rows = centred.map((row) => row.map((value) => value / length));
  const { coefficients, bias } = solved(rows, views, total, isRough ? ROUGHLY_STILL : STILL);
  // Of the embedding itself: centre, scales and length go into weights and bias.
  const weights = Array.from({ length: nClasses }, () => new Float64Array(centre.length));
  rows.forEach((row, v) => {
    weights.forEach((of, c) => {
      const share = coefficients[v * nClasses + c] / length;
      for (let d = 0; d < of.length; d++) of[d] += share * row[d];
    });
  });
  const offsets = weights.map((of, c) => bias[c] - dot(of, centre));
  return {
    weights: weights.map((of) => Float32Array.from(of, (value, d) => value * scales[d])),
    bias: Float32Array.from(offsets),
    squareRoot,
  };
}

/**
 * The scores of one embedding, one of each class; they sum to 1.
 * @param {LinearHead} head
 * @param {ArrayLike<number>} row
 */
export function headScores({ weights, bias, squareRoot }, row) {
  const x = featuresOf(row, squareRoot);
  const logits = weights.map((of, c) => x.reduce((sum, value, d) => sum + value * of[d], bias[c]));
  const powers = softmax(logits);
  return Float32Array.from(powers);
}

/**
 * As `EmbeddedClips.views` in Python: each window, and of several their mean, all of a clip weighing what its class
 * leaves it; and silence.
 * @param {LearntClip[]} clips
 * @param {number} nClasses
 * @param {Float32Array | null} silence
 * @returns {View[]}
 */
function viewsOf(clips, nClasses, silence) {
  const counts = new Array(nClasses).fill(0);
  for (const { label } of clips) counts[label] += 1;
  const nPresent = counts.filter((count) => count > 0).length;
  /** @type {View[]} */
  const views = [];
  for (const { rows, weights, label } of clips) {
    const ofClip = clips.length / (nPresent * counts[label]);
    const target = Float64Array.from({ length: nClasses }, (_, c) => Number(c === label));
    const sum = weights.reduce((all, weight) => all + weight, 0);
    const shares = weights.map((weight) => (sum > 0 ? weight / sum : 1 / rows.length));
    const half = rows.length > 1 ? 0.5 : 1;
    rows.forEach((row, n) => views.push({ row, weight: ofClip * half * shares[n], target }));
    if (rows.length === 1) continue;
    const mean = new Float32Array(rows[0].length);
    for (let d = 0; d < mean.length; d++) mean[d] = rows.reduce((all, row, n) => all + shares[n] * row[d], 0);
    views.push({ row: mean, weight: ofClip * half, target });
  }
  if (silence) {
    const target = new Float64Array(nClasses).fill(1 / nClasses);
    views.push({ row: silence, weight: SILENCE * clips.length, target });
  }
  return views;
}

/**
 * @param {ArrayLike<number>} row
 * @param {boolean} squareRoot
 */
function featuresOf(row, squareRoot) {
  return Float64Array.from(row, (value) => (squareRoot ? Math.sqrt(Math.max(value, 0)) : value));
}

/**
 * What to multiply features by, so that their spreads are half as far apart; with few clips, less.
 * @param {Float64Array[]} features
 * @param {number[]} shares
 * @param {number} nClips
 */
function evenedScales(features, shares, nClips) {
  const { centred } = centredRows(features, shares);
  const variances = new Float64Array(features[0].length);
  centred.forEach((row, v) => row.forEach((value, d) => (variances[d] += shares[v] * value * value)));
  const mean = variances.reduce((sum, value) => sum + value, 0) / variances.length;
  return variances.map((variance) => {
    const drawn = (nClips * variance + PRIOR_CLIPS * mean) / (nClips + PRIOR_CLIPS);
    return Math.max(mean, SMALLEST) ** 0.25 / Math.max(drawn, SMALLEST) ** 0.25;
  });
}

/**
 * length: the root of their mean square length.
 * @param {Float64Array[]} rows
 * @param {number[]} shares
 */
function centredRows(rows, shares) {
  const centre = new Float64Array(rows[0].length);
  rows.forEach((row, v) => row.forEach((value, d) => (centre[d] += shares[v] * value)));
  const centred = rows.map((row) => row.map((value, d) => value - centre[d]));
  const square = centred.reduce((sum, row, v) => sum + shares[v] * dot(row, row), 0);
  return { centred, centre, length: Math.sqrt(Math.max(square, SMALLEST)) };
}

/**
 * @param {Float64Array} one
 * @param {Float64Array} other
 */
function dot(one, other) {
  let sum = 0;
  for (let d = 0; d < one.length; d++) sum += one[d] * other[d];
  return sum;
}

/**
 * Where the search stands: coefficients of views, and biases behind them; and the logits that they make, without bias.
 * @typedef {{at: Float64Array, logits: Float64Array}} Point
 */

/**
 * L-BFGS (Nocedal 1980) on the sum over views of weight · cross entropy, and ½/strength · |W|²; W is the sum of
 * coefficients · views, and lengths are those of W, so that each step takes one product with the products of the views.
 * Views have a mean square length of 1, which bounds how steep it is.
 * @param {Float64Array[]} rows
 * @param {View[]} views
 * @param {number} total
 * @param {number} still
 */
function solved(rows, views, total, still) {
  const [n, nClasses] = [views.length, views[0].target.length];
  const products = gram(rows);
  const penalty = 1 / STRENGTH;
  const nCoefficients = n * nClasses;
  /** @type {(at: Float64Array) => Point} */
  const pointOf = (at) => ({ at, logits: product(products, at.subarray(0, nCoefficients), nClasses) });
  /** @type {(one: Point, other: Point) => number} */
  const inner = (one, other) =>
    dot(one.at.subarray(0, nCoefficients), other.logits) + dot(one.at.subarray(nCoefficients), other.at.subarray(nCoefficients));
  /** @type {(point: Point) => number} */
  const height = (point) => {
    const { at, logits } = point;
    return lossOf(views, logits, at.subarray(nCoefficients)) + (penalty / 2) * dot(at.subarray(0, nCoefficients), logits);
  };
  /** @type {(point: Point) => Point} */
  const gradientOf = ({ at, logits }) => {
    const bias = at.subarray(nCoefficients);
    const slopes = slopesOf(views, logits, bias);
    const gradient = new Float64Array(at.length);
    for (let k = 0; k < nCoefficients; k++) {
      gradient[k] = slopes[k] + penalty * at[k];
      gradient[nCoefficients + (k % nClasses)] += slopes[k];
    }
    return pointOf(gradient);
  };

  let point = pointOf(new Float64Array(nCoefficients + nClasses));
  let value = height(point);
  let gradient = gradientOf(point);
  /** What the last steps were, and how the gradient changed over each. @type {{step: Point, turn: Point, curve: number}[]} */
  const past = [];
  for (let count = 0; count < MOST_STEPS; count++) {
    const direction = directionOf(gradient, past, inner, total / 2 + penalty);
    const slope = inner(direction, gradient);
    if (!(slope < 0)) break;
    let share = 1;
    let next = along(point, direction, share);
    let nextValue = height(next);
    while (nextValue > value + SUFFICIENT * share * slope + ROUNDING * Math.abs(value) && share > SHORTEST) {
      share /= 2;
      next = along(point, direction, share);
      nextValue = height(next);
    }
    const nextGradient = gradientOf(next);
    const step = along(next, point, -1);
    const turn = along(nextGradient, gradient, -1);
    const curve = inner(step, turn);
    if (curve > 0) past.push({ step, turn, curve });
    if (past.length > REMEMBERED) past.shift();
    [point, value, gradient] = [next, nextValue, nextGradient];
    if (Math.max(largest(step.logits), largest(step.at.subarray(nCoefficients))) < still) break;
  }
  return { coefficients: point.at.subarray(0, nCoefficients), bias: point.at.subarray(nCoefficients) };
}

/**
 * Down, as far as the steps so far tell.
 * @param {Point} gradient
 * @param {{step: Point, turn: Point, curve: number}[]} past
 * @param {(one: Point, other: Point) => number} inner
 * @param {number} steepest
 */
function directionOf(gradient, past, inner, steepest) {
  let down = along(gradient, gradient, -2);
  const shares = new Array(past.length);
  for (let k = past.length - 1; k >= 0; k--) {
    shares[k] = inner(past[k].step, down) / past[k].curve;
    down = along(down, past[k].turn, -shares[k]);
  }
  const last = past.at(-1);
  const scale = last ? last.curve / inner(last.turn, last.turn) : 1 / steepest;
  down = along(down, down, scale - 1);
  past.forEach(({ step, turn, curve }, k) => {
    down = along(down, step, shares[k] - inner(turn, down) / curve);
  });
  return down;
}

/**
 * one + share · other
 * @param {Point} one
 * @param {Point} other
 * @param {number} share
 * @returns {Point}
 */
function along(one, other, share) {
  return {
    at: one.at.map((value, k) => value + share * other.at[k]),
    logits: one.logits.map((value, k) => value + share * other.logits[k]),
  };
}

/** @param {Float64Array} values */
function largest(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/**
 * The products of all pairs of rows.
 * @param {Float64Array[]} rows
 */
function gram(rows) {
  const products = rows.map(() => new Float64Array(rows.length));
  rows.forEach((row, a) => {
    for (let b = 0; b <= a; b++) products[a][b] = products[b][a] = dot(row, rows[b]);
  });
  return products;
}

/**
 * The sum of the views' weight · cross entropy.
 * @param {View[]} views
 * @param {Float64Array} logits
 * @param {Float64Array} bias
 */
function lossOf(views, logits, bias) {
  const nClasses = bias.length;
  let loss = 0;
  views.forEach(({ weight, target }, v) => {
    const own = bias.map((value, c) => value + logits[v * nClasses + c]);
    const top = own.reduce((most, logit) => Math.max(most, logit), -Infinity);
    const all = top + Math.log(own.reduce((powers, logit) => powers + Math.exp(logit - top), 0));
    loss += weight * (all * target.reduce((shares, share) => shares + share, 0) - dot(target, own));
  });
  return loss;
}

/**
 * The slope of the cross entropies by the logits of each view.
 * @param {View[]} views
 * @param {Float64Array} logits
 * @param {Float64Array} bias
 */
function slopesOf(views, logits, bias) {
  const nClasses = bias.length;
  const slopes = new Float64Array(logits.length);
  views.forEach(({ weight, target }, v) => {
    const chances = softmax(Array.from(bias, (value, c) => value + logits[v * nClasses + c]));
    chances.forEach((chance, c) => (slopes[v * nClasses + c] = weight * (chance - target[c])));
  });
  return slopes;
}

/**
 * [n, n], its rows, by [n, classes].
 * @param {Float64Array[]} products
 * @param {Float64Array} columns
 * @param {number} nClasses
 */
function product(products, columns, nClasses) {
  const made = new Float64Array(columns.length);
  const column = new Float64Array(products.length);
  for (let c = 0; c < nClasses; c++) {
    for (let b = 0; b < column.length; b++) column[b] = columns[b * nClasses + c];
    for (let a = 0; a < column.length; a++) made[a * nClasses + c] = dot(products[a], column);
  }
  return made;
}

/** @param {number[]} logits */
function softmax(logits) {
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
}
