// SPDX-License-Identifier: Apache-2.0

/*
 * What is heard in a stretch of sound: the classes whose evidence, pooled over its frames, reaches their
 * thresholds. As in oido.events.spans.
 */

import { UNKNOWN, joinSpans, meanScore, newSpan, oddsOf } from "./spans.js";

/** @import { Choice } from "./choice.js" */
/** @import { Evidence, Span } from "./spans.js" */

const LEAST_SHARE = 1 / 3;

/**
 * A stretch in samples, the frames in it with their times, and how many outside frames there were before.
 * @typedef {{start: number, end: number, frames: Float32Array[], times: [number, number][], seen: number}} StretchFrames
 */

export class Pooling {
  #evidence;
  #off;
  #allowed;
  #choice;
  #leastSimilarity;
  #long;

  /**
   * long: of a stretch in samples, in which a class that fills little of it has runs of its own.
   * @param {{evidence: Evidence, off: Float32Array, allowed: boolean[], choice: Choice,
   *   leastSimilarity: number|null, long: number}} options
   */
  constructor({ evidence, off, allowed, choice, leastSimilarity, long }) {
    this.#evidence = evidence;
    this.#off = off;
    this.#allowed = allowed;
    this.#choice = choice;
    this.#leastSimilarity = leastSimilarity;
    this.#long = long;
  }

  /**
   * @param {StretchFrames} stretch one frame or more
   * @returns {Span[]}
   */
  pooled({ start, end, frames, times, seen }) {
    const sums = new Float64Array(this.#off.length);
    for (const frame of frames) for (let index = 0; index < sums.length; index++) sums[index] += oddsOf(frame[index]);
    const values = this.#evidence.values(Float32Array.from(sums, (sum) => meanScore(sum, frames.length)));
    if (!this.#areSimilar(frames)) {
      let best = 0;
      for (let index = 0; index < values.length; index++) {
        if (this.#allowedValue(values, index) > this.#allowedValue(values, best)) best = index;
      }
      return [newSpan(UNKNOWN, start, end, sums[best], frames.length, { also: new Set([best]) })];
    }
    const framewise = frames.map((frame) => this.#evidence.values(this.scoresOf(frame)));
    const found = [];
    for (let index = 0; index < values.length; index++) {
      if (!(values[index] >= this.#evidence.on[index]) || !this.#allowed[index]) continue;
      const active = framewise.map((row) => row[index] >= this.#off[index]);
      if (end - start >= this.#long && active.filter(Boolean).length / frames.length < LEAST_SHARE) {
        found.push(...this.#runs(index, active, { frames, times, seen }));
      } else {
        found.push(newSpan(index, start, end, sums[index], frames.length, { seen }));
      }
    }
    const chosen = this.#choice.choose(found, (span) => this.#evidence.strength(span));
    for (const span of chosen) [span.start, span.end] = [Math.max(span.start, start), Math.min(span.end, end)];
    return chosen;
  }

  /**
   * The runs of a class's frames whose evidence holds.
   * @param {number} index
   * @param {boolean[]} active
   * @param {Pick<StretchFrames, "frames" | "times" | "seen">} stretch
   */
  #runs(index, active, { frames, times, seen }) {
    /** @type {Span[]} */
    const runs = [];
    active.forEach((isActive, number) => {
      if (!isActive) return;
      const one = newSpan(index, ...times[number], oddsOf(frames[number][index]), 1, { seen });
      if (active[number - 1]) joinSpans(runs[runs.length - 1], one);
      else runs.push(one);
    });
    return runs.filter((run) => this.#evidence.holds(run));
  }

  /**
   * Its scores alone.
   * @param {Float32Array} frame
   */
  scoresOf(frame) {
    return this.#leastSimilarity === null ? frame : frame.subarray(0, -1);
  }

  /**
   * Whether a frame is like what was taught.
   * @param {Float32Array} frame
   */
  isSimilar(frame) {
    return this.#leastSimilarity === null || frame[frame.length - 1] >= Math.fround(this.#leastSimilarity);
  }

  /** @param {Float32Array[]} frames */
  #areSimilar(frames) {
    if (this.#leastSimilarity === null) return true;
    const sum = frames.reduce((total, frame) => total + frame[frame.length - 1], 0);
    return Math.fround(sum / frames.length) >= this.#leastSimilarity;
  }

  /**
   * @param {Float32Array} values
   * @param {number} index
   */
  #allowedValue(values, index) {
    return this.#allowed[index] ? values[index] : -1;
  }
}
