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

const PIECE_SECONDS = 30;

/** A recording's samples as int16, all of them as they come, with the same `read`. */
export class WholeAudio {
  #length;
  /** @type {Int16Array<ArrayBuffer>[]} */
  #pieces = [];

  /** @param {number} sampleRateHz */
  constructor(sampleRateHz) {
    this.sampleRateHz = sampleRateHz;
    this.#length = sampleRateHz * PIECE_SECONDS;
    this.first = 0;
    this.nSamples = 0;
  }

  /** @param {Float32Array} samples */
  push(samples) {
    const rest = toInt16(samples);
    for (let at = 0; at < rest.length; ) {
      const filled = this.nSamples % this.#length;
      if (filled === 0) this.#pieces.push(new Int16Array(this.#length));
      const part = rest.subarray(at, at + this.#length - filled);
      this.#pieces[this.#pieces.length - 1].set(part, filled);
      this.nSamples += part.length;
      at += part.length;
    }
  }

  /**
   * @param {number} start
   * @param {Float32Array} out
   */
  read(start, out) {
    if (start < 0 || start + out.length > this.nSamples) return false;
    for (let i = 0; i < out.length; i++) {
      const at = start + i;
      out[i] = this.#pieces[Math.floor(at / this.#length)][at % this.#length] / 32768;
    }
    return true;
  }

  pieces() {
    const last = this.#pieces.length - 1;
    const end = this.nSamples - last * this.#length;
    return this.#pieces.map((piece, number) => (number === last ? piece.subarray(0, end) : piece));
  }
}

/** Samples that were kept, from `first` of the stream on, with the same `read`. */
export class StoredAudio {
  #samples;

  /**
   * @param {number} sampleRateHz
   * @param {number} first
   * @param {Int16Array<ArrayBuffer>} samples
   */
  constructor(sampleRateHz, first, samples) {
    this.sampleRateHz = sampleRateHz;
    this.first = first;
    this.nSamples = first + samples.length;
    this.#samples = samples;
  }

  /**
   * @param {number} start
   * @param {Float32Array} out
   */
  read(start, out) {
    if (start < this.first || start + out.length > this.nSamples) return false;
    for (let i = 0; i < out.length; i++) out[i] = this.#samples[start - this.first + i] / 32768;
    return true;
  }

  pieces() {
    return [this.#samples];
  }
}
