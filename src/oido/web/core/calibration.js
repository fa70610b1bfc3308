// SPDX-License-Identifier: Apache-2.0

/*
 * From raw scores to probabilities: the Task Library's score calibration, as oido.heads reads it and
 * oido.events.calibration applies it.
 */

import { OidoError } from "./errors.js";

/** g of a calibration, by its number in metadata_schema.fbs. */
export const TRANSFORMATIONS = ["identity", "log", "inverse logistic"];

/** @type {((x: number) => number)[]} */
const TRANSFORMS = [(x) => x, log, (x) => log(x) - log(1 - x)];

const NUMBER = /^[ \t\n\v\f\r]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t\n\v\f\r]*$/;
const SHOWN_CHARACTERS = 80;
const SMALLEST_LOG = Math.fround(1e-16);

/**
 * @typedef {{scale: number, slope: number, offset: number, minScore: number|null}} Sigmoid
 * One label's parameters, all float32.
 *
 * @typedef {{sigmoids: (Sigmoid|null)[], transformation?: number, defaultScore?: number}} Calibration
 */

/**
 * The sigmoids of a calibration file, null for a label without one. Throws OptionError.
 * @param {string} text
 * @param {number} nLabels
 */
export function parseSigmoids(text, nLabels) {
  const lines = text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  if (lines.length !== nLabels) {
    throw new OidoError(
      "OptionError",
      `score calibration has ${lines.length} line(s) for ${nLabels} label(s), must have one for each ` +
        "and no line feed at the end",
    );
  }
  const sigmoids = lines.map((line, index) => (line === "" ? null : parseSigmoid(line, index + 1)));
  if (sigmoids.every((sigmoid) => sigmoid === null)) {
    throw new OidoError("OptionError", "score calibration has parameters for no label at all");
  }
  return sigmoids;
}

/**
 * @param {string} line
 * @param {number} number
 * @returns {Sigmoid}
 */
function parseSigmoid(line, number) {
  const fields = line.split(",");
  const values = fields.map((field) => (NUMBER.test(field) ? Math.fround(Number(field)) : NaN));
  if (![3, 4].includes(fields.length) || !values.every(Number.isFinite) || values[0] < 0) {
    throw new OidoError(
      "OptionError",
      `score calibration, line ${number}: must be scale,slope,offset[,min_score], all numbers, scale 0 or ` +
        `more (it is "${line.slice(0, SHOWN_CHARACTERS)}")`,
    );
  }
  const [scale, slope, offset, minScore = null] = values;
  return { scale, slope, offset, minScore };
}

/** Applies a calibration: sigmoids per label, transformation 0..2, default score. */
export class Calibrator {
  /** @param {Calibration} calibration */
  constructor({ sigmoids, transformation = 0, defaultScore = 0 }) {
    this.sigmoids = sigmoids;
    this.transformation = transformation;
    this.transform = TRANSFORMS[transformation];
    if (!this.transform) throw new OidoError("OptionError", `there is no score transformation ${transformation}`);
    this.defaultScore = Math.fround(defaultScore);
  }

  /**
   * The probabilities, Float32Array(C), of the scores of one window, Float32Array(C).
   * @param {Float32Array} scores
   */
  apply(scores) {
    if (scores.length !== this.sigmoids.length) throw new RangeError("a score for each label");
    return Float32Array.from(this.sigmoids, (sigmoid, index) => this.#probability(scores[index], sigmoid));
  }

  /**
   * The probability of one label's score, rounded as those of `apply`.
   * @param {number} score
   * @param {number} index
   */
  applyOne(score, index) {
    return Math.fround(this.#probability(score, this.sigmoids[index]));
  }

  /**
   * @param {number} score
   * @param {Sigmoid | null} sigmoid
   */
  #probability(score, sigmoid) {
    if (sigmoid === null || (sigmoid.minScore !== null && score < sigmoid.minScore)) return this.defaultScore;
    const z = this.transform(score) * sigmoid.slope + sigmoid.offset;
    const e = Math.exp(-Math.abs(z)); // 0..1: cannot overflow
    return (sigmoid.scale * (z >= 0 ? 1 : e)) / (1 + e);
  }
}

/**
 * log x, and below t = 1e-16 its mirror image in (t, log t): finite for every x.
 * @param {number} x
 */
function log(x) {
  return x < SMALLEST_LOG ? 2 * Math.log(SMALLEST_LOG) - Math.log(2 * SMALLEST_LOG - x) : Math.log(x);
}
