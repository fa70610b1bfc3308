// SPDX-License-Identifier: Apache-2.0

import { toInt16 } from "../core/wav.js";

/** The last minutes of a stream of samples, as int16: a fixed piece of memory, whatever its length. */
export class RecentAudio {
  #ring;

  /**
   * @param {number} sampleRateHz
   * @param {number} seconds
   */
  constructor(sampleRateHz, seconds) {
    this.sampleRateHz = sampleRateHz;
    this.#ring = new Int16Array(Math.ceil(sampleRateHz * seconds));
    /** All samples that came, kept or not. */
    this.nSamples = 0;
  }

  /** The first sample that is still here. */
  get first() {
    return Math.max(0, this.nSamples - this.#ring.length);
  }

  /** @param {Float32Array} samples */
  push(samples) {
    let rest = toInt16(samples);
    if (rest.length > this.#ring.length) {
      this.nSamples += rest.length - this.#ring.length;
      rest = rest.subarray(rest.length - this.#ring.length);
    }
    const at = this.nSamples % this.#ring.length;
    const room = this.#ring.length - at;
    this.#ring.set(rest.subarray(0, room), at);
    if (rest.length > room) this.#ring.set(rest.subarray(room), 0);
    this.nSamples += rest.length;
  }

  /**
   * Copies samples start, start + 1, … into `out` (f32); false where any of them is not here.
   * @param {number} start
   * @param {Float32Array} out
   */
  read(start, out) {
    if (start < this.first || start + out.length > this.nSamples) return false;
    for (let i = 0; i < out.length; i++) {
      out[i] = this.#ring[(start + i) % this.#ring.length] / 32768;
    }
    return true;
  }

  /** What is here, in order, as one or two arrays. */
  pieces() {
    if (this.nSamples <= this.#ring.length) return [this.#ring.slice(0, this.nSamples)];
    const at = this.nSamples % this.#ring.length;
    return [this.#ring.slice(at), this.#ring.slice(0, at)];
  }
}

/** A whole recording, with the same `read`. */
export class WholeAudio {
  /**
   * @param {Float32Array} samples
   * @param {number} sampleRateHz
   */
  constructor(samples, sampleRateHz) {
    this.samples = samples;
    this.sampleRateHz = sampleRateHz;
    this.first = 0;
    this.nSamples = samples.length;
  }

  /**
   * @param {number} start
   * @param {Float32Array} out
   */
  read(start, out) {
    if (start < 0 || start + out.length > this.nSamples) return false;
    out.set(this.samples.subarray(start, start + out.length));
    return true;
  }

  pieces() {
    return [this.samples];
  }
}
