// SPDX-License-Identifier: Apache-2.0

import { readBytes } from "../core/byte_window.js";
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
const MOST_HELD = 3; // pieces that were read; neighbours are asked for one after the other

/**
 * Samples as int16 in pieces of one length, as Blobs: the browser, not the page, has them in memory, or on the disk
 * where memory is short.
 */
class BlobPieces {
  /** @type {Blob[]} */
  #blobs = [];
  /** The last that were read. @type {Map<number, Promise<Int16Array<ArrayBuffer>>>} */
  #held = new Map();

  /** @param {number} length of a piece, samples; the last one may be shorter */
  constructor(length) {
    this.length = length;
  }

  /** How many there are. */
  get count() {
    return this.#blobs.length;
  }

  /** @param {Blob} blob */
  push(blob) {
    this.#blobs.push(blob);
  }

  /**
   * @param {number} number
   * @returns {Promise<Int16Array<ArrayBuffer>>}
   */
  at(number) {
    const piece = this.#held.get(number) ?? readBytes(this.#blobs[number]).then((bytes) => new Int16Array(bytes));
    this.#held.delete(number);
    this.#held.set(number, piece);
    if (this.#held.size > MOST_HELD) this.#held.delete(this.#held.keys().next().value ?? 0);
    return piece;
  }
}

/**
 * n samples, from start on, of pieces of one length. What is in memory is copied before anything else can happen, and
 * may be written over afterwards.
 * @param {number} start
 * @param {number} n
 * @param {{length: number, pieceAt: (number: number) => Int16Array | Promise<Int16Array>}} pieces
 */
async function samplesOf(start, n, { length, pieceAt }) {
  const out = new Float32Array(n);
  for (let done = 0; done < n; ) {
    const number = Math.floor((start + done) / length);
    const from = start + done - number * length;
    const piece = pieceAt(number);
    const part = (piece instanceof Int16Array ? piece : await piece).subarray(from, from + n - done);
    for (let i = 0; i < part.length; i++) out[done + i] = part[i] / 32768;
    done += part.length;
  }
  return out;
}

/** A recording's samples as int16, all of them as they come. */
export class WholeAudio {
  #pieces;
  #last;

  /** @param {number} sampleRateHz */
  constructor(sampleRateHz) {
    this.sampleRateHz = sampleRateHz;
    this.#pieces = new BlobPieces(sampleRateHz * PIECE_SECONDS);
    this.#last = new Int16Array(this.#pieces.length);
    this.first = 0;
    this.nSamples = 0;
  }

  /** @param {Float32Array} samples */
  push(samples) {
    const rest = toInt16(samples);
    const { length } = this.#pieces;
    for (let at = 0; at < rest.length; ) {
      const filled = this.nSamples % length;
      const part = rest.subarray(at, at + length - filled);
      this.#last.set(part, filled);
      if (filled + part.length === length) this.#pieces.push(new Blob([this.#last]));
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
    const pieces = this.#pieces;
    const pieceAt = (/** @type {number} */ number) => (number < pieces.count ? pieces.at(number) : this.#last);
    return await samplesOf(start, n, { length: pieces.length, pieceAt });
  }

  async *pieces() {
    const { count, length } = this.#pieces;
    const last = this.#last.slice(0, this.nSamples - count * length);
    for (let number = 0; number < count; number++) yield await this.#pieces.at(number);
    if (last.length) yield last;
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
  #pieces;

  /**
   * @param {number} sampleRateHz
   * @param {number} first
   * @param {Blob} samples int16
   */
  constructor(sampleRateHz, first, samples) {
    this.sampleRateHz = sampleRateHz;
    this.first = first;
    this.nSamples = first + samples.size / 2;
    this.#pieces = new BlobPieces(sampleRateHz * PIECE_SECONDS);
    const bytes = 2 * this.#pieces.length;
    for (let at = 0; at < samples.size; at += bytes) this.#pieces.push(samples.slice(at, at + bytes));
  }

  /**
   * @param {number} start
   * @param {number} n
   */
  async read(start, n) {
    if (start < this.first || start + n > this.nSamples) return null;
    const { length } = this.#pieces;
    return await samplesOf(start - this.first, n, { length, pieceAt: (number) => this.#pieces.at(number) });
  }

  async *pieces() {
    for (let number = 0; number < this.#pieces.count; number++) yield await this.#pieces.at(number);
  }
}

/** @param {Sound} sound */
export async function allPieces(sound) {
  const pieces = [];
  for await (const piece of sound.pieces()) pieces.push(piece);
  return pieces;
}
