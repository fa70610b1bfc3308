// SPDX-License-Identifier: Apache-2.0

/*
 * A recording's samples, whole or as they are decoded, as segments of some windows each: never more of it is here
 * than one segment and one piece. The windows are those of the whole recording, however it is cut.
 */

/** @import { Windowing } from "./windowing.js" */

/**
 * The samples that n neighbouring windows share, the first of them this one.
 * @typedef {{waveform: Float32Array<ArrayBuffer>, first: number, n: number}} Segment
 */

export class Segments {
  #windowing;
  #most;
  #length;
  #buffer;
  /** What is held, in memory that is used again, and how many samples it is. */
  #held = new Float32Array(0);
  #nHeld = 0;
  #first = 0;

  /**
   * most: windows of a segment. buffer: memory of n samples for one.
   * @param {Windowing} windowing
   * @param {number} most
   * @param {(n: number) => Float32Array<ArrayBuffer>} [buffer]
   */
  constructor(windowing, most, buffer = (n) => new Float32Array(n)) {
    this.#windowing = windowing;
    this.#most = most;
    this.#buffer = buffer;
    this.#length = (most - 1) * windowing.hopSamples + windowing.windowSamples;
  }

  /**
   * @param {Float32Array | AsyncIterable<Float32Array>} samples
   * @returns {AsyncGenerator<Segment>}
   */
  async *of(samples) {
    if (samples instanceof Float32Array) {
      const count = this.#windowing.count(samples.length);
      for (let first = 0; first < count; first += this.#most) {
        const n = Math.min(this.#most, count - first);
        yield { waveform: this.#windowing.segment(samples, first, n), first, n };
      }
      return;
    }
    for await (const piece of samples) {
      this.#hold(piece);
      // One sample more than a segment has, so that the last one is always left for `#rest`.
      while (this.#nHeld > this.#length) yield this.#next();
    }
    yield* this.#rest();
  }

  /** @param {Float32Array} piece */
  #hold(piece) {
    const length = this.#nHeld + piece.length;
    if (length > this.#held.length) {
      const larger = new Float32Array(length);
      larger.set(this.#held.subarray(0, this.#nHeld));
      this.#held = larger;
    }
    this.#held.set(piece, this.#nHeld);
    this.#nHeld = length;
  }

  /** @returns {Segment} */
  #next() {
    const [first, n] = [this.#first, this.#most];
    const waveform = this.#buffer(this.#length);
    waveform.set(this.#held.subarray(0, this.#length));
    const dropped = n * this.#windowing.hopSamples;
    this.#held.copyWithin(0, dropped, this.#nHeld);
    this.#nHeld -= dropped;
    this.#first += n;
    return { waveform, first, n };
  }

  /** @returns {Generator<Segment>} */
  *#rest() {
    const { hopSamples } = this.#windowing;
    const count = this.#windowing.count(this.#first * hopSamples + this.#nHeld) - this.#first;
    for (let done = 0; done < count; done += this.#most) {
      const n = Math.min(this.#most, count - done);
      const first = this.#first + done;
      const rest = this.#held.subarray(done * hopSamples, this.#nHeld);
      // Only a whole recording may be shorter than a window, and repeated.
      const waveform = first === 0 ? this.#windowing.segment(rest, 0, n) : this.#padded(rest, n);
      yield { waveform, first, n };
    }
  }

  /**
   * @param {Float32Array} samples
   * @param {number} n
   */
  #padded(samples, n) {
    const waveform = new Float32Array((n - 1) * this.#windowing.hopSamples + this.#windowing.windowSamples);
    waveform.set(samples.subarray(0, waveform.length));
    return waveform;
  }
}
