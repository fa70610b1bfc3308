// SPDX-License-Identifier: Apache-2.0

/* The events of the frames that are here, for the threshold of now; core/detector.js makes them. */

import { EventDetector } from "../core/detector.js";
import { DEFAULT_THRESHOLD } from "../core/thresholds.js";

/** @import { Calibrator } from "../core/calibration.js" */
/** @import { EngineInfo, Limits, SoundEvent } from "../types.js" */
/** @import { Frames } from "./frames.js" */

const FRAMES_AT_ONCE = 256;

const MOST_EVENTS = 50_000; // of days; the oldest go, and the page says so

export class EventMaker {
  #info;
  #frames;
  #calibrator;
  /** @type {Limits} */
  #limits = { threshold: DEFAULT_THRESHOLD, thresholds: null };
  #detector;
  #origin = 0; // the sample that the detector's first frame begins with
  #next = 0; // frame, and sample up to which levels were given
  #nextSample = 0;

  /**
   * @param {EngineInfo} info
   * @param {Frames} frames
   * @param {Calibrator | null} calibrator
   */
  constructor(info, frames, calibrator) {
    this.#info = info;
    this.#frames = frames;
    this.#calibrator = calibrator;
    /** @type {SoundEvent[]} */
    this.events = [];
    /** How many were so old that they went. */
    this.nLost = 0;
    this.#detector = this.#newDetector();
  }

  /** The time from which on events are made, seconds: what they were made of before is not here any more. */
  get since() {
    return this.#origin / this.#info.sampleRateHz;
  }

  /**
   * Whether the events of all frames that are here were made by these limits.
   * @param {Limits} limits
   */
  isMadeBy({ threshold, thresholds }) {
    const isSame = thresholds === this.#limits.thresholds && (thresholds !== null || threshold === this.#limits.threshold);
    return isSame && this.#next === this.#frames.end;
  }

  /**
   * Make all events again. limits: {threshold} or {thresholds: Float32Array}.
   * @param {Limits} limits
   */
  restart(limits) {
    this.#limits = limits;
    this.#next = this.#frames.first;
    this.#origin = this.#next === 0 ? 0 : this.#frames.grid.span(this.#next)[0];
    this.#nextSample = this.#origin;
    this.#detector = this.#newDetector();
    this.events = [];
    this.nLost = 0;
    this.advance();
  }

  /** Takes the frames and levels that were added since. */
  advance() {
    /** @type {SoundEvent[]} */
    const found = [];
    do {
      const end = Math.min(this.#next + FRAMES_AT_ONCE, this.#frames.end);
      const frames = this.#frames.slice(this.#next, end);
      this.#next = end;
      const isLast = end === this.#frames.end;
      found.push(...this.#detector.push(frames, this.#levels(isLast ? Infinity : this.#frames.grid.span(end)[0])));
    } while (this.#next < this.#frames.end);
    this.#keep(found);
  }

  /**
   * The recording is over after so many samples.
   * @param {number} nSamples
   */
  finish(nSamples) {
    this.advance();
    this.#keep(this.#detector.flush([], nSamples - this.#origin));
  }

  /** What is heard and not over, as it looks now: all of it, each time. */
  ongoing() {
    return this.#detector.ongoing().map((event) => this.#shifted(event));
  }

  /**
   * Those up to a sample that were not given yet.
   * @param {number} end
   */
  #levels(end) {
    const levels = this.#frames.levels(this.#nextSample, end);
    this.#nextSample += levels.length * this.#frames.levelSamples;
    return levels;
  }

  #newDetector() {
    const { grid } = this.#frames;
    const [first, origin] = [this.#next, this.#origin];
    /** @type {(frame: number) => [number, number]} */
    const span = (frame) => {
      const [start, end] = grid.span(first + frame);
      return [start - origin, end - origin];
    };
    return new EventDetector({
      ...this.#info,
      ...this.#limits,
      unknown: (this.#info.leastSimilarity ?? null) !== null,
      displayNames: this.#info.labels,
      grid: { span },
      calibrator: this.#calibrator,
    });
  }

  /**
   * @param {SoundEvent} event
   * @returns {SoundEvent}
   */
  #shifted(event) {
    const shift = this.#origin / this.#info.sampleRateHz;
    return { ...event, startTime: event.startTime + shift, endTime: event.endTime + shift };
  }

  /** @param {SoundEvent[]} found */
  #keep(found) {
    if (!found.length) return;
    this.events.push(...found.map((event) => this.#shifted(event)));
    this.events.sort((a, b) => a.startTime - b.startTime || a.labelIndex - b.labelIndex);
    const nLost = Math.max(0, this.events.length - MOST_EVENTS);
    this.events.splice(0, nLost);
    this.nLost += nLost;
  }
}
