// SPDX-License-Identifier: Apache-2.0

/*
 * What events are made of: the scores of short frames, and the levels of the sound. They are kept, small, so that
 * events can be made again for another threshold without hearing again.
 */

import { WindowFrames } from "../core/framewise.js";
import { LEVELS_PER_SECOND, LevelMeter } from "../core/level.js";
import { History } from "./history.js";

/** @import { EngineInfo, WindowScores } from "../types.js" */
/** @import { HistoryDump } from "./history.js" */

/** Scores below it stand as 0: a pooled score changes by less. Those of quantised networks are in larger steps. */
const FLOOR = 1 / 1024;

/**
 * @typedef {{first: number, values: Float32Array}} SeriesDump
 *
 * @typedef {{history: HistoryDump, similarities: SeriesDump, levels: SeriesDump}} FramesDump
 */

/** Numbers of a stream, each with its place from the start; the oldest can be dropped. */
class Series {
  #values = new Float32Array(1024);
  #first = 0;
  #length = 0;

  /** The place of the oldest that is here. */
  get first() {
    return this.#first;
  }

  /** All that came, dropped or not. */
  get end() {
    return this.#first + this.#length;
  }

  /** @param {ArrayLike<number>} values */
  push(values) {
    const needed = this.#length + values.length;
    if (needed > this.#values.length) {
      const larger = new Float32Array(Math.max(needed, 2 * this.#values.length));
      larger.set(this.#values.subarray(0, this.#length));
      this.#values = larger;
    }
    this.#values.set(values, this.#length);
    this.#length = needed;
  }

  /**
   * A copy of the numbers from one place to another.
   * @param {number} start
   * @param {number} end
   */
  slice(start, end) {
    return this.#values.slice(Math.max(0, start - this.#first), Math.max(0, Math.min(end - this.#first, this.#length)));
  }

  /** @returns {SeriesDump} */
  dump() {
    return { first: this.#first, values: this.#values.slice(0, this.#length) };
  }

  /** @param {SeriesDump} dump */
  restore({ first, values }) {
    this.#first = first;
    this.#values = Float32Array.from(values);
    this.#length = values.length;
  }

  /**
   * What lies before is not needed any more.
   * @param {number} start
   */
  dropBefore(start) {
    const dropped = Math.min(start - this.#first, this.#length);
    if (dropped <= this.#values.length / 2) return; // moved seldom
    this.#values = this.#values.slice(dropped, this.#length);
    this.#first += dropped;
    this.#length -= dropped;
  }
}

export class Frames {
  #nClasses;
  #hasSimilarity;
  #windows;
  #meter;
  #history;
  #similarities = new Series();
  #levels = new Series();
  #nSamples = 0;

  /**
   * mostWindows: beyond it, the oldest go.
   * @param {EngineInfo} info
   * @param {number} mostWindows
   */
  constructor(info, mostWindows) {
    const { labels, sampleRateHz, hopSamples } = info;
    this.#windows = new WindowFrames(info);
    this.grid = this.#windows.grid;
    this.#nClasses = labels.length;
    this.#hasSimilarity = (info.leastSimilarity ?? null) !== null;
    this.#meter = new LevelMeter(sampleRateHz);
    this.levelSamples = Math.floor(sampleRateHz / LEVELS_PER_SECOND);
    this.#history = new History({
      nClasses: labels.length,
      calibrated: false,
      floor: FLOOR,
      mostWindows: (mostWindows * hopSamples) / this.grid.frameSamples,
    });
  }

  /** The oldest frame that is here; they go on to `end`, without `end`. */
  get first() {
    return this.#history.first;
  }

  get end() {
    return this.#history.end;
  }

  /** @param {WindowScores} window */
  add(window) {
    this.#keep(this.#windows.push(window, this.#nSamples));
  }

  /** @param {Float32Array} samples */
  addSamples(samples) {
    this.#nSamples += samples.length;
    this.addLevels(this.#meter.push(samples));
  }

  /** @param {Float32Array} levels */
  addLevels(levels) {
    this.#levels.push(levels);
  }

  /**
   * It is over after so many samples.
   * @param {number} nSamples
   */
  finish(nSamples) {
    this.#keep(this.#windows.flush(nSamples));
  }

  /**
   * Frames from one to another, each Float32Array(C), with the similarity behind it where there is one.
   * @param {number} start
   * @param {number} end
   */
  slice(start, end) {
    const similarities = this.#hasSimilarity ? this.#similarities.slice(start, end) : null;
    return Array.from({ length: end - start }, (_, number) => {
      const frame = new Float32Array(this.#nClasses + (similarities ? 1 : 0));
      this.#history.fill(start + number, frame, null);
      if (similarities) frame[this.#nClasses] = similarities[number];
      return frame;
    });
  }

  /**
   * Levels from one sample to another, as far as they are here.
   * @param {number} start
   * @param {number} end
   */
  levels(start, end) {
    return this.#levels.slice(Math.round(start / this.levelSamples), Math.round(end / this.levelSamples));
  }

  /**
   * What is here, to be kept.
   * @returns {FramesDump}
   */
  dump() {
    return { history: this.#history.dump(), similarities: this.#similarities.dump(), levels: this.#levels.dump() };
  }

  /**
   * What was kept; nothing more comes.
   * @param {FramesDump} dump
   */
  restore({ history, similarities, levels }) {
    this.#history.restore(history);
    this.#similarities.restore(similarities);
    this.#levels.restore(levels);
  }

  /** @param {Float32Array[]} frames */
  #keep(frames) {
    for (const frame of frames) {
      const scores = frame.subarray(0, this.#nClasses);
      this.#history.add({ index: this.#history.end, scores, probabilities: null });
      if (this.#hasSimilarity) this.#similarities.push([frame[this.#nClasses]]);
    }
    const { first } = this.#history;
    this.#similarities.dropBefore(first);
    this.#levels.dropBefore(Math.floor(this.grid.span(first)[0] / this.levelSamples));
  }
}
