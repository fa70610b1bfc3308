// SPDX-License-Identifier: Apache-2.0

/*
 * What a microphone picks up where nothing is heard: digital silence, and faint noise of a room; as
 * `quiet_waveforms` in Python (oido.training.augment) has it, of other random numbers.
 */

const LEVELS_DB = [-80, -65, -50];
const LOWEST_HZ = 30;
/** Of pink noise: a low-pass for each decade. */
const PINK = [
  { hz: 30, share: 1 },
  { hz: 300, share: 0.32 },
  { hz: 3_000, share: 0.1 },
];
const BROWN = [{ hz: LOWEST_HZ, share: 1 }];

/**
 * Digital silence, then white, pink and brown noise of each level; always the same.
 * @param {number} nSamples
 * @param {number} sampleRateHz
 * @returns {Float32Array[]}
 */
export function quietWaveforms(nSamples, sampleRateHz) {
  const random = dice(1);
  const waveforms = [new Float32Array(nSamples)];
  for (const level of LEVELS_DB) {
    for (const passes of [[], PINK, BROWN]) {
      const white = Float64Array.from({ length: nSamples }, () => random() + random() + random() - 1.5);
      const noise = passes.length === 0 ? white : coloured(white, passes, sampleRateHz);
      const rms = Math.sqrt(noise.reduce((sum, value) => sum + value * value, 0) / nSamples);
      waveforms.push(Float32Array.from(noise, (value) => (value * 10 ** (level / 20)) / rms));
    }
  }
  return waveforms;
}

/**
 * White noise through low-passes of one pole, side by side.
 * @param {Float64Array} white
 * @param {{hz: number, share: number}[]} passes
 * @param {number} sampleRateHz
 */
function coloured(white, passes, sampleRateHz) {
  const noise = new Float64Array(white.length);
  for (const { hz, share } of passes) {
    const step = 1 - Math.exp((-2 * Math.PI * hz) / sampleRateHz);
    let state = 0;
    white.forEach((value, n) => {
      state += step * (value - state);
      noise[n] += share * state;
    });
  }
  return noise;
}

/**
 * Numbers of 0 to 1, always the same ones (mulberry32).
 * @param {number} seed
 */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
