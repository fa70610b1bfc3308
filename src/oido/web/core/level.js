// SPDX-License-Identifier: Apache-2.0

/* The level of every 20 ms of a stream; as oido.signal.level measures it. */

export const LEVELS_PER_SECOND = 50;

const LEAST = 10 ** (-90 / 20); // of an amplitude: -90 dB

/** Each level is that of its own samples alone; fewer samples than that, at the end, have none. */
export class LevelMeter {
  #length;
  #n = 0; // samples of the level that is under way
  #energy = 0;

  /** @param {number} sampleRateHz */
  constructor(sampleRateHz) {
    this.#length = Math.floor(sampleRateHz / LEVELS_PER_SECOND);
  }

  /**
   * The levels that these samples complete, in dB of full scale.
   * @param {Float32Array} samples
   * @returns {Float32Array<ArrayBuffer>}
   */
  push(samples) {
    const levels = new Float32Array(Math.floor((this.#n + samples.length) / this.#length));
    let found = 0;
    for (let index = 0; index < samples.length; index++) {
      this.#energy += samples[index] * samples[index];
      if (++this.#n < this.#length) continue;
      levels[found++] = 20 * Math.log10(Math.max(Math.sqrt(this.#energy / this.#length), LEAST));
      this.#n = this.#energy = 0;
    }
    return levels;
  }
}
