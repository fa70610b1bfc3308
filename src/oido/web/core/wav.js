// SPDX-License-Identifier: Apache-2.0

/*
 * WAV (RIFF/WAVE) with linear PCM or float samples, decoded to the very numbers that Python gets: integers
 * divided by 2^(bits-1), channels averaged in float32.
 */

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

const READERS = {
  [`${PCM} 8`]: (view, at) => (view.getUint8(at) - 128) / 128,
  [`${PCM} 16`]: (view, at) => view.getInt16(at, true) / 32768,
  [`${PCM} 24`]: (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608,
  [`${PCM} 32`]: (view, at) => Math.fround(view.getInt32(at, true)) / 2147483648,
  [`${FLOAT} 32`]: (view, at) => view.getFloat32(at, true),
  [`${FLOAT} 64`]: (view, at) => Math.fround(view.getFloat64(at, true)),
};

/**
 * What a WAV file holds, or null if it is none or of a kind that is not read here.
 * @returns {{sampleRateHz: number, channels: number, frames: number, mono: () => Float32Array}|null}
 */
export function readWav(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 12 || tag(view, 0) !== "RIFF" || tag(view, 8) !== "WAVE") return null;
  let format = null;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const [name, start] = [tag(view, at), at + 8];
    // Recorders that were cut off leave a size of 0 or of all ones behind: then the rest is meant.
    const size = Math.min(view.getUint32(at + 4, true), view.byteLength - start);
    if (name === "fmt " && size >= 16) format = readFormat(view, start, size);
    if (name === "data") return format && samplesOf(view, start, size || view.byteLength - start, format);
    at = start + size + (size % 2);
  }
  return null;
}

function readFormat(view, start, size) {
  let kind = view.getUint16(start, true);
  if (kind === EXTENSIBLE && size >= 26) kind = view.getUint16(start + 24, true);
  const bits = view.getUint16(start + 14, true);
  return {
    read: READERS[`${kind} ${bits}`],
    channels: view.getUint16(start + 2, true),
    sampleRateHz: view.getUint32(start + 4, true),
    frameBytes: view.getUint16(start + 12, true),
    sampleBytes: bits / 8,
  };
}

function samplesOf(view, start, size, { read, channels, sampleRateHz, frameBytes, sampleBytes }) {
  if (!read || channels < 1 || frameBytes !== channels * sampleBytes) return null;
  const frames = Math.floor(size / frameBytes);
  const share = Math.fround(1 / channels);
  const mono = () => {
    const samples = new Float32Array(frames);
    for (let frame = 0; frame < frames; frame++) {
      const at = start + frame * frameBytes;
      let sum = read(view, at);
      for (let channel = 1; channel < channels; channel++) {
        sum = Math.fround(sum + read(view, at + channel * sampleBytes));
      }
      samples[frame] = channels === 1 ? sum : sum * share;
    }
    return samples;
  };
  return { sampleRateHz, channels, frames, mono };
}

function tag(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((index) => view.getUint8(at + index)));
}
