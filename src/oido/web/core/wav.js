// SPDX-License-Identifier: Apache-2.0

/*
 * WAV (RIFF/WAVE) with linear PCM or float samples, decoded to the very numbers that Python gets: integers
 * divided by 2^(bits-1), channels averaged in float32; and WAV files of samples, to send and to play.
 */

import { bytesInTurn, readBytes } from "./byte_window.js";

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

/** @type {Record<string, (view: DataView, at: number) => number>} */
const READERS = {
  [`${PCM} 8`]: (view, at) => (view.getUint8(at) - 128) / 128,
  [`${PCM} 16`]: (view, at) => view.getInt16(at, true) / 32768,
  [`${PCM} 24`]: (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608,
  [`${PCM} 32`]: (view, at) => Math.fround(view.getInt32(at, true)) / 2147483648,
  [`${FLOAT} 32`]: (view, at) => view.getFloat32(at, true),
  [`${FLOAT} 64`]: (view, at) => Math.fround(view.getFloat64(at, true)),
};

/**
 * How the samples lie in a file. read: one of them, or undefined for a kind that is not read here.
 * @typedef {{read: ((view: DataView, at: number) => number) | undefined, channels: number, sampleRateHz: number,
 *   frameBytes: number, sampleBytes: number}} Format
 */

/**
 * What a WAV file holds, or null if it is none or of a kind that is not read here.
 * @returns {{sampleRateHz: number, channels: number, frames: number, mono: () => Float32Array<ArrayBuffer>}|null}
 * @param {ArrayBuffer} buffer
 */
export function readWav(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 12 || tag(view, 0) !== "RIFF" || tag(view, 8) !== "WAVE") return null;
  /** @type {Format | null} */
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

/**
 * Where the samples of a WAV file lie, without reading them: null if it is none or of a kind that is not read here.
 * slice: mono samples of some frames. slices: of all, n frames after n frames.
 * @param {Blob} file
 * @returns {Promise<{sampleRateHz: number, frames: number,
 *   slice: (first: number, n: number) => Promise<Float32Array<ArrayBuffer>>,
 *   slices: (n: number) => AsyncGenerator<Float32Array<ArrayBuffer>>}|null>}
 */
export async function openWav(file) {
  /** @type {(start: number, n: number) => Promise<DataView<ArrayBuffer>>} */
  const bytes = async (start, n) => new DataView(await readBytes(file, start, start + n));
  const riff = await bytes(0, 12);
  if (riff.byteLength < 12 || tag(riff, 0) !== "RIFF" || tag(riff, 8) !== "WAVE") return null;
  /** @type {Format | null} */
  let format = null;
  for (let at = 12; at + 8 <= file.size; ) {
    const header = await bytes(at, 8);
    const start = at + 8;
    const size = Math.min(header.getUint32(4, true), file.size - start);
    if (tag(header, 0) === "fmt " && size >= 16) format = readFormat(await bytes(start, size), 0, size);
    if (tag(header, 0) === "data") return format && slicesOf(file, start, size || file.size - start, format);
    at = start + size + (size % 2);
  }
  return null;
}

/**
 * @param {Blob} file
 * @param {number} start
 * @param {number} size
 * @param {Format} format
 */
function slicesOf(file, start, size, format) {
  const { frameBytes, sampleRateHz } = format;
  /** @type {(view: DataView) => Float32Array<ArrayBuffer> | undefined} */
  const monoOf = (view) => samplesOf(view, 0, view.byteLength, format)?.mono();
  if (!monoOf(new DataView(new ArrayBuffer(0)))) return null;
  const frames = Math.floor(size / frameBytes);
  const slice = async (/** @type {number} */ first, /** @type {number} */ n) => {
    const at = start + first * frameBytes;
    const bytes = await readBytes(file, at, at + Math.min(n, frames - first) * frameBytes);
    return monoOf(new DataView(bytes)) ?? new Float32Array(0);
  };
  async function* slices(/** @type {number} */ n) {
    for await (const view of bytesInTurn(file, start, start + frames * frameBytes, n * frameBytes)) {
      yield monoOf(view) ?? new Float32Array(0);
    }
  }
  return { sampleRateHz, frames, slice, slices };
}

/**
 * @param {DataView} view
 * @param {number} start
 * @param {number} size
 */
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

/**
 * @param {DataView} view
 * @param {number} start
 * @param {number} size
 * @param {Format} format
 */
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

/**
 * @param {DataView} view
 * @param {number} at
 */
function tag(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((index) => view.getUint8(at + index)));
}

/**
 * A WAV file (16 bits, mono) of pieces of samples: Float32Array in [-1, 1], or Int16Array as they are.
 * @param {(Float32Array | Int16Array<ArrayBuffer>)[]} pieces
 * @param {number} sampleRateHz
 * @param {string} name
 */
export function wavFile(pieces, sampleRateHz, name) {
  const whole = pieces.map(toInt16);
  const bytes = whole.reduce((sum, piece) => sum + piece.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  /** @type {(at: number, letters: string) => void} */
  const text = (at, letters) => [...letters].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // one channel
  header.setUint32(24, sampleRateHz, true);
  header.setUint32(28, 2 * sampleRateHz, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new File([header, ...whole], name, { type: "audio/wav" });
}

/**
 * As oido.signal decodes them: 32768 is one.
 * @param {Float32Array | Int16Array<ArrayBuffer>} samples
 * @returns {Int16Array<ArrayBuffer>}
 */
export function toInt16(samples) {
  if (samples instanceof Int16Array) return samples;
  const whole = new Int16Array(samples.length);
  for (let i = 0; i < whole.length; i++) whole[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32768)));
  return whole;
}
