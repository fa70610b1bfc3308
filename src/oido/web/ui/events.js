// SPDX-License-Identifier: Apache-2.0

/* The events of a history of windows, for the threshold of now; core/events.js has the rules. */

import { Segmenter } from "../core/events.js";

/** @import { EngineInfo, Limits, SoundEvent } from "../types.js" */
/** @import { History } from "./history.js" */

const TAIL_WINDOWS = 64;

const MOST_EVENTS = 20_000;

export class EventMaker {
  #info;
  #history;
  /** @type {Limits} */
  #limits = { threshold: 0.3, thresholds: null };
  #segmenter;
  #firstWindow = 0;
  #next = 0;
  #scores;
  #probabilities;
  /** @type {Map<number, SoundEvent>} */
  #open = new Map();

  /**
   * @param {EngineInfo} info
   * @param {History} history
   */
  constructor(info, history) {
    this.#info = info;
    this.#history = history;
    this.#scores = new Float32Array(history.nClasses);
    this.#probabilities = history.calibrated ? new Float32Array(history.nClasses) : null;
    /** @type {SoundEvent[]} */
    this.events = [];
    this.#segmenter = this.#newSegmenter();
    this.restart(this.#limits);
  }

  /**
   * Make all events again. limits: {threshold} or {thresholds: Float32Array}.
   * @param {Limits} limits
   */
  restart(limits) {
    this.#limits = limits;
    this.#segmenter = this.#newSegmenter();
    this.#next = this.#history.first;
    this.#firstWindow = this.#next;
    this.#open.clear();
    this.events = [];
    if (this.#firstWindow > 0) {
      // Only the first window of a recording answers for its edge: here there was one before.
      this.#firstWindow -= 1;
      this.#segmenter.push(new Float32Array(this.#history.nClasses));
    }
    this.advance();
  }

  /** Take the windows that were added since. */
  advance() {
    /** @type {SoundEvent[]} */
    const found = [];
    for (; this.#next < this.#history.end; this.#next++) {
      this.#history.fill(this.#next, this.#scores, this.#probabilities);
      found.push(...this.#segmenter.push(this.#scores, this.#probabilities));
    }
    this.#keep(found);
  }

  /**
   * The recording is over after so many samples.
   * @param {number} nSamples
   */
  finish(nSamples) {
    const { hopSamples } = this.#info;
    this.#keep(this.#segmenter.flush(nSamples - this.#firstWindow * hopSamples));
    this.#open.clear();
  }

  /** Events that go on at the newest window, by label index; each ends, for now, with it. */
  ongoing() {
    const { first, end } = this.#history;
    const from = Math.max(first, end - TAIL_WINDOWS);
    if (from === end) return [];
    const segmenter = this.#newSegmenter();
    for (let index = from; index < end; index++) {
      this.#history.fill(index, this.#scores, this.#probabilities);
      segmenter.push(this.#scores, this.#probabilities);
    }
    const { hopSamples, windowSamples, sampleRateHz } = this.#info;
    const nSamples = (end - 1 - from) * hopSamples + windowSamples;
    const shift = (from * hopSamples) / sampleRateHz;
    /** @type {Map<number, SoundEvent>} */
    const open = new Map();
    for (const event of segmenter.flush(nSamples)) {
      if (event.endTime * sampleRateHz < nSamples - 1) continue;
      const before = this.#open.get(event.labelIndex);
      const isCut = from > 0 && event.startTime === 0;
      open.set(event.labelIndex, {
        ...event,
        startTime: isCut && before ? before.startTime : event.startTime + shift,
        endTime: event.endTime + shift,
        isOngoing: true,
      });
    }
    this.#open = open;
    return [...open.values()];
  }

  #newSegmenter() {
    return new Segmenter({ ...this.#info, displayNames: this.#info.labels, ...this.#limits });
  }

  /** @param {SoundEvent[]} found */
  #keep(found) {
    if (!found.length) return;
    const shift = (this.#firstWindow * this.#info.hopSamples) / this.#info.sampleRateHz;
    for (const event of found) {
      event.startTime += shift;
      event.endTime += shift;
    }
    this.events.push(...found);
    this.events.sort((a, b) => a.startTime - b.startTime || a.labelIndex - b.labelIndex);
    if (this.events.length > MOST_EVENTS) this.events.splice(0, this.events.length - MOST_EVENTS);
  }
}
