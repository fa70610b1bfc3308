// SPDX-License-Identifier: Apache-2.0

import { toInt16 } from "../core/wav.js";

/** @import { Read } from "../core/decode.js" */
/** @import { Sound } from "../types.js" */

/** Of a longer recording the sound is not kept, where its file can be read again. */
export const MOST_KEPT_SAMPLES = 30 * 60 * 16_000;

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
   * @param {number} start
   * @param {number} n
   */
  async read(start, n) {
    if (start < this.first || start + n > this.nSamples) return null;
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = this.#ring[(start + i) % this.#ring.length] / 32768;
    return out;
  }

  async *pieces() {
    const at = this.nSamples <= this.#ring.length ? 0 : this.nSamples % this.#ring.length;
    const pieces = [this.#ring.slice(at, this.nSamples), this.#ring.slice(0, at)]; // more may come meanwhile
    yield* pieces.filter(({ length }) => length);
  }
}

const PIECE_SECONDS = 30;

/** A recording's samples as int16, all of them as they come. */
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
   * @param {number} n
   */
  async read(start, n) {
    if (start < 0 || start + n > this.nSamples) return null;
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      const at = start + i;
      out[i] = this.#pieces[Math.floor(at / this.#length)][at % this.#length] / 32768;
    }
    return out;
  }

  async *pieces() {
    const last = this.#pieces.length - 1;
    const end = this.nSamples - last * this.#length;
    yield* this.#pieces.map((piece, number) => (number === last ? piece.subarray(0, end) : piece));
  }
}

/** A recording whose samples are counted as they come, and read again from its file: the same that would be kept. */
export class FileAudio {
  #read;

  /**
   * @param {number} sampleRateHz
   * @param {Read} read
   */
  constructor(sampleRateHz, read) {
    this.sampleRateHz = sampleRateHz;
    this.first = 0;
    this.nSamples = 0;
    this.#read = read;
  }

  /** @param {Float32Array} samples */
  push(samples) {
    this.nSamples += samples.length;
  }

  /**
   * @param {number} start
   * @param {number} n
   */
  async read(start, n) {
    if (start < 0 || start + n > this.nSamples) return null;
    const samples = toInt16(await this.#read(start, n));
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = samples[i] / 32768;
    return out;
  }

  async *pieces() {
    const length = this.sampleRateHz * PIECE_SECONDS;
    for (let at = 0; at < this.nSamples; at += length) {
      yield toInt16(await this.#read(at, Math.min(length, this.nSamples - at)));
    }
  }
}

/** Samples that were kept, from `first` of the stream on. */
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
   * @param {number} n
   */
  async read(start, n) {
    if (start < this.first || start + n > this.nSamples) return null;
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = this.#samples[start - this.first + i] / 32768;
    return out;
  }

  async *pieces() {
    yield this.#samples;
  }
}

/** @param {Sound} sound */
export async function allPieces(sound) {
  const pieces = [];
  for await (const piece of sound.pieces()) pieces.push(piece);
  return pieces;
}
