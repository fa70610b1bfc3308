// SPDX-License-Identifier: Apache-2.0

/*
 * From scores to events: when each label starts and ends. The rules are those of
 * oido.events.segmentation, which tells them; tests/vectors holds both to the same examples.
 */

import { Windowing } from "./windowing.js";

/** @import { Calibrator } from "./calibration.js" */
/** @import { SoundEvent, WindowScores, WindowSizes } from "../types.js" */

/** Of events, where neither the user nor the model says another. */
export const DEFAULT_THRESHOLD = 0.3;

const LONGEST_SECONDS = 1e9;

/**
 * Neighbouring windows of one label; peak: the value that thresholds are compared with, score: beside it.
 * @typedef {{first: number, last: number, peak: number, score: number, isCalibrated: boolean}} Run
 *
 * @typedef {WindowSizes & {labels: string[], displayNames?: string[], thresholds?: Float32Array|null,
 *   threshold?: number, offRatio?: number, minDuration?: number, mergeGap?: number, allowed?: boolean[]|null,
 *   calibrator?: Calibrator|null}} SegmenterOptions
 */

/** Turns the scores of successive windows into events, as soon as each is over. */
export class Segmenter {
  #windowing;
  #labels;
  #displayNames;
  #on;
  #off;
  #allowed;
  #calibrator;
  #gapSamples;
  #shortestSamples;
  #nWindows = 0;
  /** @type {Map<number, Run>} */
  #runs = new Map();
  /** @type {Map<number, Run>} */
  #waiting = new Map();
  /** @type {{scores: Float32Array, probabilities: Float32Array|null} | null} */
  #held = null;

  /**
   * labels: names, in the order of the scores. sampleRateHz, windowSamples, hopSamples: of the engine's
   * info. thresholds: Float32Array, one for each label (an engine's `info.thresholds`), or null;
   * threshold: the common one, 0..1, which counts where thresholds is null. offRatio, minDuration,
   * mergeGap: as oido.params.Detection, seconds. allowed: array of booleans, or null for all.
   * calibrator: with it, "score" in the rules means the probability.
   * @param {SegmenterOptions} options
   */
  constructor({
    labels,
    displayNames = labels,
    sampleRateHz,
    windowSamples,
    hopSamples,
    thresholds = null,
    threshold = DEFAULT_THRESHOLD,
    offRatio = 0.5,
    minDuration = 0,
    mergeGap = 0,
    allowed = null,
    calibrator = null,
  }) {
    this.#windowing = new Windowing({ sampleRateHz, windowSamples, hopSamples });
    this.#labels = labels;
    this.#displayNames = displayNames;
    this.#on = thresholds ? Float32Array.from(thresholds) : new Float32Array(labels.length).fill(threshold);
    const ratio = Math.fround(offRatio);
    this.#off = this.#on.map((on) => on * ratio);
    this.#allowed = allowed;
    this.#calibrator = calibrator;
    // Whole samples, so that a limit of exactly an event's length keeps it.
    /** @type {(seconds: number) => number} */
    const samplesOf = (seconds) => roundHalfEven(Math.min(seconds, LONGEST_SECONDS) * sampleRateHz);
    this.#gapSamples = samplesOf(mergeGap);
    this.#shortestSamples = samplesOf(minDuration);
  }

  /** Windows taken so far. */
  get nWindows() {
    return this.#nWindows;
  }

  /**
   * Take the next window's scores, Float32Array(C), and its probabilities if they are known; gives the
   * events that are over, by start time.
   * @param {Float32Array} scores
   * @param {Float32Array | null} [probabilities]
   * @returns {SoundEvent[]}
   */
  push(scores, probabilities = null) {
    const window = this.#nWindows++;
    this.#held = { scores, probabilities };
    const values = probabilities ?? this.#calibrator?.apply(scores) ?? scores;
    const isCalibrated = values !== scores;
    /** @type {[number, Run][]} */
    const done = [];
    for (let index = 0; index < values.length; index++) {
      if (!(values[index] >= this.#off[index]) || (this.#allowed && !this.#allowed[index])) continue;
      const one = { first: window, last: window, peak: values[index], score: scores[index], isCalibrated };
      const run = this.#runs.get(index);
      this.#runs.set(index, run === undefined ? one : joined(run, one));
    }
    for (const [index, run] of [...this.#runs]) {
      if (run.last < this.#nWindows - 1) this.#close(index, done);
    }
    for (const [index, run] of [...this.#waiting]) {
      // A run that is still open may join; any other starts at the next window or later.
      const start = this.#runs.get(index)?.first ?? this.#nWindows;
      if (this.#gap(run, start) > this.#gapSamples) {
        this.#waiting.delete(index);
        done.push([index, run]);
      }
    }
    return this.#events(done, null);
  }

  /**
   * Take one of an engine's windows by its index. Windows that were left out before it, because the
   * device was too slow, count as the last one that was heard.
   * @param {Pick<WindowScores, "index" | "scores" | "probabilities">} window
   */
  pushWindow({ index, scores, probabilities }) {
    const events = [];
    const held = this.#held ?? { scores, probabilities };
    while (this.#nWindows < index) events.push(...this.push(held.scores, held.probabilities));
    events.push(...this.push(scores, probabilities));
    return events;
  }

  /**
   * The recording ended after this many samples: the events that were still open.
   * @param {number} nSamples
   */
  flush(nSamples) {
    /** @type {[number, Run][]} */
    const done = [];
    for (const index of [...this.#runs.keys()]) this.#close(index, done);
    done.push(...this.#waiting);
    this.#waiting.clear();
    return this.#events(done, nSamples);
  }

  /**
   * @param {number} index
   * @param {[number, Run][]} done
   */
  #close(index, done) {
    let run = this.#runs.get(index);
    this.#runs.delete(index);
    if (run === undefined || run.peak < this.#on[index]) return;
    const earlier = this.#waiting.get(index);
    if (earlier !== undefined) {
      if (this.#gap(earlier, run.first) <= this.#gapSamples) run = joined(earlier, run);
      else done.push([index, earlier]);
    }
    this.#waiting.set(index, run);
  }

  /**
   * @param {Run} run
   * @param {number} nextWindow
   */
  #gap(run, nextWindow) {
    return (nextWindow - run.last - 1) * this.#windowing.hopSamples;
  }

  /**
   * @param {[number, Run][]} done
   * @param {number | null} nSamples
   * @returns {SoundEvent[]}
   */
  #events(done, nSamples) {
    const rate = this.#windowing.sampleRateHz;
    // While the recording goes on, the end of a closed event lies before its (unknown) end.
    const samples = nSamples ?? Infinity;
    const windows = nSamples === null ? this.#nWindows + 1 : this.#nWindows;
    const events = [];
    for (const [index, run] of done) {
      const start = this.#windowing.cell(run.first, windows, samples)[0];
      const end = this.#windowing.cell(run.last, windows, samples)[1];
      if (end - start < this.#shortestSamples) continue;
      events.push({
        label: this.#labels[index],
        labelIndex: index,
        displayName: this.#displayNames[index],
        startTime: start / rate,
        endTime: end / rate,
        score: run.score,
        probability: run.isCalibrated ? run.peak : null,
      });
    }
    return events.sort((a, b) => a.startTime - b.startTime || a.labelIndex - b.labelIndex);
  }
}

/**
 * @param {Run} first
 * @param {Run} second
 * @returns {Run}
 */
function joined(first, second) {
  const { peak, score, isCalibrated } = first.peak >= second.peak ? first : second;
  return { first: first.first, last: second.last, peak, score, isCalibrated };
}

/**
 * The nearest whole number; of two that are as near, the even one, as Python's round.
 * @param {number} value
 */
function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
