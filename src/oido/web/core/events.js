// SPDX-License-Identifier: Apache-2.0

/* From an engine's windows, and the samples that they are of, to events: all that leads to them in one. */

import { EventDetector } from "./detector.js";
import { WindowFrames } from "./framewise.js";
import { LevelMeter } from "./level.js";

/** @import { DetectorOptions } from "./detector.js" */
/** @import { EngineInfo, WindowScores } from "../types.js" */

/** The events of one stream or one recording, as soon as each is over. */
export class EventFinder {
  #frames;
  #meter;
  #detector;
  #nSamples = 0;

  /**
   * An engine's info and its calibrator, and options as those of `EventDetector`.
   * @param {EngineInfo & Partial<DetectorOptions>} options
   */
  constructor(options) {
    this.#frames = new WindowFrames(options);
    this.#meter = new LevelMeter(options.sampleRateHz);
    this.#detector = new EventDetector({ ...options, grid: this.#frames.grid });
  }

  /**
   * The next samples, which come before the windows that they are in: edges of events are found in them.
   * @param {Float32Array} samples
   */
  addSamples(samples) {
    this.#nSamples += samples.length;
    return this.#detector.push([], this.#meter.push(samples));
  }

  /**
   * An engine's next window.
   * @param {WindowScores} window
   */
  push(window) {
    return this.#detector.push(this.#frames.push(window, this.#nSamples), new Float32Array(0));
  }

  /** What is heard and not over, as it looks now: all of it, each time. */
  ongoing() {
    return this.#detector.ongoing();
  }

  /**
   * The recording ended after this many samples: the events that were still open.
   * @param {number} nSamples
   */
  flush(nSamples) {
    return this.#detector.flush(this.#frames.flush(nSamples), nSamples);
  }
}
