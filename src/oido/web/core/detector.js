// SPDX-License-Identifier: Apache-2.0

/*
 * From frames and levels to events: spans, and what is told of them, as soon as each is over. As
 * oido.inference.detector makes them; tests/vectors holds both to the same examples.
 */

import { Choice } from "./choice.js";
import { Segmenter } from "./segmentation.js";
import { UNKNOWN, joinSpans, meanScore } from "./spans.js";
import { DEFAULT_THRESHOLD } from "./thresholds.js";

/** @import { Calibrator } from "./calibration.js" */
/** @import { Kinship } from "./choice.js" */
/** @import { Span } from "./spans.js" */
/** @import { SoundEvent } from "../types.js" */

const UNKNOWN_LABEL = "unknown";
const LONGEST_SECONDS = 1e9;

/** Names, in any case, of classes that were taught as the absence of events. */
const NON_EVENTS = new Set(["background", "noise", "other", "silence"]);

/**
 * grid: a `FrameGrid`, or what has the same `span`. thresholds: one for each label (an engine's
 * `info.thresholds`), or null; threshold: the common one, 0..1, which counts where thresholds is null. offRatio,
 * minDuration, mergeGap, unknown: as oido.params.Detection, seconds. allowed: of each label, or null for all that
 * tell of an event. calibrator: with it, thresholds are of probabilities. keepsAll: every label by itself.
 * @typedef {{grid: {span: (frame: number) => [number, number]}, sampleRateHz: number, labels: string[],
 *   displayNames?: string[], thresholds?: ArrayLike<number>|null, threshold?: number, offRatio?: number,
 *   minDuration?: number, mergeGap?: number, unknown?: boolean, allowed?: boolean[]|null,
 *   calibrator?: Calibrator|null, kinship?: Kinship|null, keepsAll?: boolean,
 *   leastSimilarity?: number|null}} DetectorOptions
 */

/** Finds the events of one stream, whose frames and levels come in order. */
export class EventDetector {
  #grid;
  #rate;
  #labels;
  #displayNames;
  #calibrator;
  #segmenter;
  #gap;
  #shortest;
  #reportsUnknown;
  #nFrames = 0;
  /** Of each class the last one, which a later one may join. @type {Map<number, Span>} */
  #waiting = new Map();

  /** @param {DetectorOptions} options */
  constructor({
    grid,
    sampleRateHz,
    labels,
    displayNames = labels,
    thresholds = null,
    threshold = DEFAULT_THRESHOLD,
    offRatio = 0.5,
    minDuration = 0,
    mergeGap = 0,
    unknown = false,
    allowed = null,
    calibrator = null,
    kinship = null,
    keepsAll = false,
    leastSimilarity = null,
  }) {
    this.#grid = grid;
    this.#rate = sampleRateHz;
    this.#labels = labels;
    this.#displayNames = displayNames;
    this.#calibrator = calibrator;
    this.#reportsUnknown = unknown;
    const on = thresholds ? Float32Array.from(thresholds) : new Float32Array(labels.length).fill(threshold);
    const ratio = Math.fround(offRatio);
    const absences = absencesIn(labels);
    this.#segmenter = new Segmenter({
      grid,
      sampleRateHz,
      calibrator,
      on,
      off: on.map((value) => value * ratio),
      allowed: allowed ?? absences.map((isAbsence) => !isAbsence),
      absences,
      choice: new Choice(kinship, keepsAll),
      leastSimilarity,
    });
    // Whole samples, so that a limit of exactly an event's length keeps it.
    /** @type {(seconds: number) => number} */
    const samplesOf = (seconds) => roundHalfEven(Math.min(seconds, LONGEST_SECONDS) * sampleRateHz);
    this.#gap = samplesOf(mergeGap);
    this.#shortest = Math.max(samplesOf(minDuration), 1);
  }

  /**
   * The next frames (of a model with similarities, each with one more value) and the next levels; gives the
   * events that are over, by start time.
   * @param {Float32Array[]} frames
   * @param {Float32Array} levels
   */
  push(frames, levels) {
    this.#nFrames += frames.length;
    return this.#finished(this.#segmenter.push(frames, levels), null);
  }

  /**
   * The recording ended after this many samples, with these last frames: the events that were still open.
   * @param {Float32Array[]} frames
   * @param {number} nSamples
   */
  flush(frames, nSamples) {
    this.#nFrames += frames.length;
    if (this.#nFrames === 0) return [];
    const spans = [...this.#segmenter.push(frames, new Float32Array(0)), ...this.#segmenter.flush()];
    // The last frame answers for all that is left.
    const [, end] = this.#grid.span(this.#nFrames - 1);
    for (const span of spans) if (span.end >= end) span.end = nSamples;
    return this.#finished(spans, nSamples);
  }

  /**
   * What is heard and not over, as it looks now. Label, start and end may be others when it is over, and it may
   * never be told: so the one rule for these is that they are all asked for anew whenever something was pushed,
   * and none is kept.
   * @returns {SoundEvent[]}
   */
  ongoing() {
    const waiting = [...this.#waiting.values()].map((span) => ({ ...span, also: new Set(span.also) }));
    /** @type {Span[]} */
    const spans = [];
    for (const span of [...waiting, ...this.#segmenter.begun()].sort((a, b) => a.start - b.start)) {
      const earlier = spans.findLast(({ index }) => index === span.index);
      if (earlier && span.start - earlier.end <= this.#gap) joinSpans(earlier, span);
      else spans.push(span);
    }
    return this.#events(spans).map((event) => ({ ...event, isOngoing: true }));
  }

  /**
   * Spans that will not change any more, those of one class that are near as one.
   * @param {Span[]} spans
   * @param {number | null} nSamples
   */
  #finished(spans, nSamples) {
    /** @type {Span[]} */
    const done = [];
    const reported = spans.filter((span) => this.#reportsUnknown || span.index !== UNKNOWN);
    for (const span of reported.sort((a, b) => a.start - b.start)) {
      const earlier = this.#waiting.get(span.index);
      if (earlier !== undefined && span.start - earlier.end <= this.#gap) {
        joinSpans(earlier, span);
        continue;
      }
      if (earlier !== undefined) done.push(earlier);
      this.#waiting.set(span.index, span);
    }
    for (const [index, span] of [...this.#waiting]) {
      if (nSamples === null && this.#segmenter.earliestStart(index) - span.end <= this.#gap) continue;
      this.#waiting.delete(index);
      done.push(span);
    }
    if (nSamples !== null) {
      for (const span of done) {
        [span.start, span.end] = [Math.min(span.start, nSamples), Math.min(span.end, nSamples)];
      }
    }
    return this.#events(done.filter((span) => span.end - span.start >= this.#shortest));
  }

  /**
   * @param {Span[]} spans
   * @returns {SoundEvent[]}
   */
  #events(spans) {
    const events = spans.map((span) => this.#event(span));
    return events.sort((a, b) => a.startTime - b.startTime || a.labelIndex - b.labelIndex);
  }

  /**
   * @param {Span} span
   * @returns {SoundEvent}
   */
  #event({ index, start, end, odds, nFrames, also }) {
    const isUnknown = index === UNKNOWN;
    const [column] = isUnknown ? also : [index];
    const score = Math.fround(meanScore(odds, nFrames));
    return {
      label: isUnknown ? UNKNOWN_LABEL : this.#labels[index],
      labelIndex: index,
      displayName: isUnknown ? UNKNOWN_LABEL : this.#displayNames[index],
      startTime: start / this.#rate,
      endTime: end / this.#rate,
      score,
      probability: this.#calibrator?.applyOne(score, column) ?? null,
      also: [...also].map((each) => this.#displayNames[each]),
    };
  }
}

/**
 * Of each label, whether it tells of no event: silence, and what was taught as background.
 * @param {string[]} labels
 */
function absencesIn(labels) {
  const folded = labels.map((label) => label.toLowerCase());
  // AudioSet's Noise is something that is heard.
  const isAudioSet = folded.includes("speech") && folded.includes("silence");
  return folded.map((label) => (isAudioSet ? label === "silence" : NON_EVENTS.has(label)));
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
