// SPDX-License-Identifier: Apache-2.0

/** @import { WindowSizes } from "../types.js" */

/**
 * How a waveform is cut into windows; whole samples only, so that times never drift.
 * The same rules as oido.params.Windowing.
 */
export class Windowing {
  /** @param {WindowSizes} sizes */
  constructor({ sampleRateHz, windowSamples, hopSamples, repeatPauseSamples = null }) {
    this.sampleRateHz = sampleRateHz;
    this.windowSamples = windowSamples;
    this.hopSamples = hopSamples;
    this.repeatPauseSamples = repeatPauseSamples;
  }

  /**
   * Windows of a waveform: 1 + ceil((max(n, window) − window) / hop).
   * @param {number} nSamples
   */
  count(nSamples) {
    return 1 + Math.ceil(Math.max(0, nSamples - this.windowSamples) / this.hopSamples);
  }

  /**
   * [start, end] in seconds of what one window covers; the last one may end in padding.
   * @param {number} window
   * @returns {[number, number]}
   */
  times(window) {
    const start = window * this.hopSamples;
    return [start / this.sampleRateHz, (start + this.windowSamples) / this.sampleRateHz];
  }

  /**
   * [start, end] in samples of what one window answers for, when events are timed.
   * @param {number} window
   * @param {number} nWindows
   * @param {number} nSamples
   * @returns {[number, number]}
   */
  cell(window, nWindows, nSamples) {
    const centred = Math.floor((this.windowSamples - this.hopSamples) / 2);
    const start = window === 0 ? 0 : window * this.hopSamples + centred;
    const end = window === nWindows - 1 ? nSamples : (window + 1) * this.hopSamples + centred;
    return [Math.min(start, nSamples), Math.min(end, nSamples)];
  }

  /**
   * The waveform that some neighbouring windows share, a new Float32Array; zeros behind the end of
   * the samples. A recording shorter than one window is repeated, where the network hears better so.
   * @param {Float32Array} samples
   * @param {number} firstWindow
   * @param {number} nWindows
   */
  segment(samples, firstWindow, nWindows) {
    const segment = new Float32Array((nWindows - 1) * this.hopSamples + this.windowSamples);
    const start = firstWindow * this.hopSamples;
    segment.set(samples.subarray(start, start + segment.length));
    if (this.repeatPauseSamples !== null && samples.length > 0 && samples.length < this.windowSamples) {
      const period = samples.length + this.repeatPauseSamples;
      for (let at = period; at < segment.length; at += period) {
        segment.set(samples.subarray(0, segment.length - at), at);
      }
    }
    return segment;
  }
}
