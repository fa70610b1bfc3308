// SPDX-License-Identifier: Apache-2.0

export const FFT_SAMPLES = 512;

const HALF = FFT_SAMPLES / 2;
const HANN = Float32Array.from({ length: FFT_SAMPLES }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FFT_SAMPLES));
const COS = Float32Array.from({ length: HALF }, (_, k) => Math.cos((2 * Math.PI * k) / FFT_SAMPLES));
const SIN = Float32Array.from({ length: HALF }, (_, k) => Math.sin((2 * Math.PI * k) / FFT_SAMPLES));
const BITS = Math.log2(FFT_SAMPLES);
const REVERSED = Uint16Array.from({ length: FFT_SAMPLES }, (_, n) => {
  let reversed = 0;
  for (let bit = 0; bit < BITS; bit++) reversed |= ((n >> bit) & 1) << (BITS - 1 - bit);
  return reversed;
});

const re = new Float32Array(FFT_SAMPLES);
const im = new Float32Array(FFT_SAMPLES);

/**
 * Powers f32[257] of 512 samples under a Hann window, written into `out`; 1 is a full-scale sine.
 * Radix 2, decimation in time.
 * @param {Float32Array} samples
 * @param {Float32Array} out
 */
export function powerSpectrum(samples, out) {
  for (let n = 0; n < FFT_SAMPLES; n++) {
    re[REVERSED[n]] = samples[n] * HANN[n];
  }
  im.fill(0);
  for (let size = 2; size <= FFT_SAMPLES; size *= 2) {
    const half = size / 2;
    const step = FFT_SAMPLES / size;
    for (let start = 0; start < FFT_SAMPLES; start += size) {
      for (let k = 0; k < half; k++) {
        const a = start + k;
        const b = a + half;
        const c = COS[k * step];
        const s = SIN[k * step];
        const r = re[b] * c + im[b] * s;
        const i = im[b] * c - re[b] * s;
        re[b] = re[a] - r;
        im[b] = im[a] - i;
        re[a] += r;
        im[a] += i;
      }
    }
  }
  // A sine of amplitude 1 has |X| = N/4 under this window.
  const scale = (4 / FFT_SAMPLES) ** 2;
  for (let k = 0; k <= HALF; k++) out[k] = (re[k] ** 2 + im[k] ** 2) * scale;
}
