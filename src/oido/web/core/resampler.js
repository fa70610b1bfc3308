// SPDX-License-Identifier: Apache-2.0

/*
 * Resampling as a stream, for browsers that give the microphone at its own rate only: a sinc under a Kaiser
 * window (J. O. Smith, "Digital Audio Resampling"), cut off below the lower of both Nyquist frequencies.
 */

const ZERO_CROSSINGS = 24;
const KAISER_BETA = 9; // about 90 dB of stop band
const ROLLOFF = 0.92; // pass band, as a share of Nyquist

/** Turns mono float32 samples of one rate into another; what comes out does not depend on the pieces. */
export class Resampler {
  #ratio; // input samples per output sample
  #cutoff; // as a share of the input's Nyquist
  #reach; // input samples on either side
  #held; // samples that are still needed, and where the first of them stands
  #heldStart;
  #next = 0; // output samples given

  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    this.#ratio = fromHz / toHz;
    this.#cutoff = ROLLOFF * Math.min(1, toHz / fromHz);
    this.#reach = Math.ceil(ZERO_CROSSINGS / this.#cutoff);
    this.#held = new Float32Array(this.#reach);
    this.#heldStart = -this.#reach;
  }

  /**
   * The samples at the new rate that are ready, Float32Array.
   * @param {Float32Array<ArrayBuffer>} samples
   */
  push(samples) {
    if (this.#ratio === 1) return samples;
    const held = new Float32Array(this.#held.length + samples.length);
    held.set(this.#held);
    held.set(samples, this.#held.length);
    const end = this.#heldStart + held.length;
    const out = [];
    while (this.#next * this.#ratio + this.#reach < end) out.push(this.#at(this.#next++ * this.#ratio, held));
    const needed = Math.max(this.#heldStart, Math.floor(this.#next * this.#ratio) - this.#reach);
    this.#held = held.slice(needed - this.#heldStart);
    this.#heldStart = needed;
    return Float32Array.from(out);
  }

  /**
   * @param {number} position
   * @param {Float32Array} held
   */
  #at(position, held) {
    let sum = 0;
    const first = Math.ceil(position - this.#reach);
    const last = Math.floor(position + this.#reach);
    for (let index = first; index <= last; index++) {
      sum += (held[index - this.#heldStart] ?? 0) * kernel(position - index, this.#cutoff, this.#reach);
    }
    return sum;
  }
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
