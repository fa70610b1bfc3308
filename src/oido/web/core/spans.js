// SPDX-License-Identifier: Apache-2.0

/*
 * Spans of classes, and their evidence: the pooled score, which is the mean of the frames' odds s / (1 − s), as
 * a score again. As in oido.events.spans.
 */

/** @import { Calibrator } from "./calibration.js" */

const LARGEST_SCORE = 1 - 1 / 1024;

/** The index of a span that is none of the classes; `also` tells what it scored highest as. */
export const UNKNOWN = -1;

/**
 * One class in some time: what may become an event. Times are samples. odds: the sum of those of its frames.
 * isOutside: whether frames outside of stretches belong to it; seen: the number of outside frames when it was
 * last heard. also: columns that it stands for.
 * @typedef {{index: number, start: number, end: number, odds: number, nFrames: number, seen: number,
 *   isOutside: boolean, also: Set<number>}} Span
 */

/**
 * At most 1023: the models' scores are no surer than that.
 * @param {number} score
 */
export function oddsOf(score) {
  const limited = Math.min(score, LARGEST_SCORE);
  return limited / (1 - limited);
}

/**
 * The mean of some odds as a score again.
 * @param {number} odds their sum
 * @param {number} count
 */
export function meanScore(odds, count) {
  const mean = odds / count;
  return mean / (1 + mean);
}

/**
 * Goes on with a later span of the same class; gives the first, which is both now.
 * @param {Span} span
 * @param {Span} later
 */
export function joinSpans(span, later) {
  span.end = later.end;
  span.seen = later.seen;
  span.odds += later.odds;
  span.nFrames += later.nFrames;
  for (const index of later.also) span.also.add(index);
  return span;
}

/**
 * @param {number} index
 * @param {number} start
 * @param {number} end
 * @param {number} odds
 * @param {number} nFrames
 * @param {Partial<Span>} rest
 * @returns {Span}
 */
export function newSpan(index, start, end, odds, nFrames, rest) {
  return { index, start, end, odds, nFrames, seen: 0, isOutside: false, also: new Set(), ...rest };
}

/** What is compared with thresholds: scores, or where there is a calibration, probabilities; all float32. */
export class Evidence {
  #calibrator;

  /**
   * on: of each class, what its pooled value must reach.
   * @param {Calibrator | null} calibrator
   * @param {Float32Array} on
   */
  constructor(calibrator, on) {
    this.#calibrator = calibrator;
    this.on = on;
  }

  /**
   * Of each class, of a row of scores.
   * @param {Float32Array} scores
   */
  values(scores) {
    return this.#calibrator?.apply(scores) ?? scores;
  }

  /** @param {Span} span */
  strength({ index, odds, nFrames }) {
    const score = Math.fround(meanScore(odds, nFrames));
    return this.#calibrator?.applyOne(score, index) ?? score;
  }

  /** @param {Span} span */
  holds(span) {
    return this.strength(span) >= this.on[span.index];
  }
}
