// SPDX-License-Identifier: Apache-2.0

/*
 * Resampling as a stream, for browsers that give the microphone at its own rate only: a sinc under a Kaiser
 * window (J. O. Smith, "Digital Audio Resampling"), cut off below the lower of both Nyquist frequencies.
 */

const ZERO_CROSSINGS = 24;
const KAISER_BETA = 9; // about 90 dB of stop band
const MOST_KERNELS = 4096; // of rates that have no common measure there are as many as the rate
const ROLLOFF = 0.92; // pass band, as a share of Nyquist

/** Turns mono float32 samples of one rate into another; what comes out does not depend on the pieces. */
export class Resampler {
  #fromHz;
  #toHz;
  #ratio; // input samples per output sample
  #cutoff; // as a share of the input's Nyquist
  #reach; // input samples on either side
  #held; // samples that are still needed, how many, and where the first of them stands
  #nHeld;
  #heldStart;
  #received = 0; // input samples
  #next = 0; // output samples given
  /** The kernel at each place between input samples that an output sample can have, in 1 / toHz. @type {Float64Array[]} */
  #kernels = [];
  #nKernels = 0;

  /**
   * @param {number} fromHz a whole number
   * @param {number} toHz a whole number
   */
  constructor(fromHz, toHz) {
    this.#fromHz = fromHz;
    this.#toHz = toHz;
    this.#ratio = fromHz / toHz;
    this.#cutoff = ROLLOFF * Math.min(1, toHz / fromHz);
    this.#reach = Math.ceil(ZERO_CROSSINGS / this.#cutoff);
    this.#held = new Float32Array(this.#reach);
    this.#nHeld = this.#reach;
    this.#heldStart = -this.#reach;
  }

  /**
   * The samples at the new rate that are ready, Float32Array.
   * @param {Float32Array<ArrayBuffer>} samples
   */
  push(samples) {
    if (this.#ratio === 1) return samples;
    this.#received += samples.length;
    const length = this.#hold(samples);
    const end = this.#heldStart + length;
    const ready = Math.max(0, Math.ceil((end - this.#reach) / this.#ratio) - this.#next);
    const out = new Float32Array(ready);
    this.#write(out, this.#next, this.#held, this.#heldStart);
    this.#next += ready;
    const needed = Math.max(this.#heldStart, Math.floor(this.#next * this.#ratio) - this.#reach);
    this.#held.copyWithin(0, needed - this.#heldStart, length);
    this.#nHeld = length - (needed - this.#heldStart);
    this.#heldStart = needed;
    return out;
  }

  /**
   * These behind those that are held, in the same memory for each piece. Gives how many they are together.
   * @param {Float32Array} samples
   */
  #hold(samples) {
    const length = this.#nHeld + samples.length;
    if (this.#held.length <= length) {
      const larger = new Float32Array(length + 1);
      larger.set(this.#held.subarray(0, this.#nHeld));
      this.#held = larger;
    }
    this.#held.set(samples, this.#nHeld);
    this.#held[length] = 0; // behind them, where rounding asks for one more
    return length;
  }

  /**
   * Fills `out` with output sample `next` and those after it, of input samples of which the first stands at `start`.
   * @param {Float32Array} out
   * @param {number} next
   * @param {Float32Array} samples
   * @param {number} start
   */
  #write(out, next, samples, start) {
    // Whole numbers in variables of its own, and no function that gives others back: else they become objects,
    // millions in an hour.
    const kernels = this.#kernels;
    const toHz = this.#toHz | 0;
    const wholeStep = Math.floor(this.#ratio) | 0;
    const restStep = this.#fromHz % toHz | 0;
    let remainder = ((next * this.#fromHz) % toHz) | 0;
    let first = (Math.floor((next * this.#fromHz) / toHz) - this.#reach + 1 - start) | 0;
    for (let n = 0; n < out.length; n++) {
      writeSum(out, n, samples, first, kernels[remainder] ?? this.#weights(remainder));
      first += wholeStep;
      remainder += restStep;
      if (remainder < toHz) continue;
      remainder -= toHz;
      first += 1;
    }
  }

  /** The samples that are left; behind the end of the sound is silence. */
  flush() {
    if (this.#ratio === 1) return new Float32Array(0);
    const wanted = Math.ceil(this.#received / this.#ratio) - this.#next;
    return this.push(new Float32Array(this.#reach + Math.ceil(this.#ratio))).subarray(0, Math.max(0, wanted));
  }

  /**
   * Where the input samples begin that output samples from `start` on are made of, and how many those are.
   * @param {number} start
   * @param {number} n
   */
  needed(start, n) {
    if (this.#ratio === 1) return [start, n];
    const around = (/** @type {number} */ next) => Math.floor((next * this.#fromHz) / this.#toHz);
    return [around(start) - this.#reach + 1, around(start + n - 1) - around(start) + 2 * this.#reach];
  }

  /**
   * n output samples from `start` on, of the input samples that are `needed` for them: those that `push` gives there.
   * @param {number} start
   * @param {number} n
   * @param {Float32Array<ArrayBuffer>} samples
   */
  between(start, n, samples) {
    if (this.#ratio === 1) return samples;
    const out = new Float32Array(n);
    this.#write(out, start, samples, this.needed(start, n)[0]);
    return out;
  }

  /**
   * The weights of the samples around an output sample that lies remainder / toHz behind one of them.
   * @param {number} remainder
   */
  #weights(remainder) {
    const place = remainder / this.#toHz;
    const weights = Float64Array.from({ length: 2 * this.#reach }, (_, tap) =>
      kernel(place + this.#reach - 1 - tap, this.#cutoff, this.#reach),
    );
    if (this.#nKernels++ < MOST_KERNELS) this.#kernels[remainder] = weights;
    return weights;
  }
}

/**
 * out[at]: the sum of the weighted samples from `first` on.
 * @param {Float32Array} out
 * @param {number} at
 * @param {Float32Array} samples
 * @param {number} first
 * @param {Float64Array} weights
 */
function writeSum(out, at, samples, first, weights) {
  let sum = 0;
  for (let tap = 0; tap < weights.length; tap++) sum += samples[first + tap] * weights[tap];
  out[at] = sum;
}

/**
 * @param {number} distance
 * @param {number} cutoff
 * @param {number} reach
 */
function kernel(distance, cutoff, reach) {
  const x = Math.PI * cutoff * distance;
  const sinc = x === 0 ? 1 : Math.sin(x) / x;
  const edge = distance / reach;
  return edge * edge >= 1 ? 0 : (cutoff * sinc * bessel(KAISER_BETA * Math.sqrt(1 - edge * edge))) / BESSEL_OF_BETA;
}

/**
 * The modified Bessel function of order 0, by its series.
 * @param {number} x
 */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

const BESSEL_OF_BETA = bessel(KAISER_BETA);
