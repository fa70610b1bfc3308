// SPDX-License-Identifier: Apache-2.0

/*
 * From a file to mono samples at the model's rate, without leaving the device: a short one whole, a long one by slices
 * where its format lets us, so that an hour needs no more memory than a minute.
 */

import { readBytes } from "./byte_window.js";
import { OidoError } from "./errors.js";
import { Resampler } from "./resampler.js";
import { openWav } from "./wav.js";
import { joined, openCompressed } from "./webcodecs.js";

const LONG_SECONDS = 300; // what is longer is decoded by slices
/** From this size on, a compressed file may be long. */
export const LONG_BYTES = 4_000_000;

const SLICE_SECONDS = 10;

/**
 * A long recording, before it is decoded. nSamples: at the rate that was asked for, about. slices: each time anew.
 * read: n samples from any place on, those that the slices have there, with silence around the recording; null of a
 * format that is decoded only from its beginning. isDamaged: whether it tells of more sound than its last slices had.
 * @typedef {{nSamples: number, slices: () => AsyncGenerator<Float32Array<ArrayBuffer>>, read: Read | null,
 *   isDamaged: () => boolean}} Sliced
 *
 * @typedef {(start: number, n: number) => Promise<Float32Array<ArrayBuffer>>} Read
 */

const LOUDEST_RMS = 16; // float samples belong in [-1, 1]; recorders overshoot, but not this much
const SHORTEST_SECONDS = 0.001;

/**
 * Decodes a File (or a Blob). A WAV or a 16-bit FLAC at the model's rate gives the numbers that Python gets. Of another
 * rate, WAV, FLAC and MP3 are resampled here: a browser's resampler folds much of what is above the model's Nyquist
 * frequency into what it hears, the more the higher the rate. Other formats are decoded and resampled by the browser.
 *
 * Throws an OidoError: AudioNotFoundError, UnknownFormatError, EmptyAudioError or InvalidSamplesError.
 *
 * @param {Blob & {name?: string}} file
 * @param {number} sampleRateHz
 * @returns {Promise<{samples: Float32Array<ArrayBuffer>, duration: number, isDamaged: boolean}>} mono at sampleRateHz;
 *   seconds; whether the file tells of more sound than is in it
 */
export async function decodeFile(file, sampleRateHz) {
  const name = file.name ?? "the file";
  const pcm = await pcmOf(file);
  const own = pcm ? null : await openCompressed(file).catch(() => null);
  const [pieces, fromHz] = pcm
    ? [pcm.pieces(), pcm.sampleRateHz]
    : await byBrowser(file, name, [Math.max(own?.sampleRateHz ?? 0, sampleRateHz), sampleRateHz]);
  const samples = await wholeOf(resampled(pieces, fromHz, sampleRateHz, name));
  check(samples, name, sampleRateHz);
  const duration = samples.length / sampleRateHz;
  return { samples, duration, isDamaged: own?.isDamaged(duration) === true };
}

/**
 * A long recording that can be decoded by slices, mono at sampleRateHz; null for a short one, and for a format that
 * this browser decodes only as a whole. Bad samples are refused as they come.
 * @param {Blob & {name?: string}} file
 * @param {number} sampleRateHz
 * @returns {Promise<Sliced | null>}
 */
export async function openSliced(file, sampleRateHz) {
  if (file.size < LONG_BYTES) return null;
  let pcm, source;
  try {
    pcm = await pcmOf(file);
    source = pcm ?? (await openCompressed(file));
  } catch {
    return null; // `decodeFile` says what is wrong
  }
  if (source === null || source.seconds < LONG_SECONDS) return null;
  const { sampleRateHz: fromHz, seconds, pieces, isDamaged } = source;
  let n = 0;
  async function* slices() {
    n = 0;
    for await (const slice of resampled(pieces(), fromHz, sampleRateHz, file.name ?? "the file")) {
      n += slice.length;
      yield slice;
    }
  }
  return {
    nSamples: Math.ceil(seconds * sampleRateHz),
    slices,
    read: pcm && reading(pcm.span, fromHz, sampleRateHz),
    isDamaged: () => isDamaged(n / sampleRateHz),
  };
}

/**
 * Of a WAV file.
 * @param {Blob} file
 */
async function pcmOf(file) {
  const wav = await openWav(file);
  if (wav === null) return null;
  const { sampleRateHz, frames, slice, slices } = wav;
  const pieces = () => slices(SLICE_SECONDS * sampleRateHz);
  /** @type {Read} */
  const span = async (start, length) => {
    const samples = new Float32Array(length);
    const first = Math.max(0, start);
    const end = Math.min(start + length, frames);
    if (first < end) samples.set(await slice(first, end - first), first - start);
    return samples;
  };
  return { sampleRateHz, seconds: frames / sampleRateHz, pieces, span, isDamaged: () => false };
}

/**
 * The samples at another rate, from any place on.
 * @param {Read} span
 * @param {number} fromHz
 * @param {number} toHz
 * @returns {Read}
 */
function reading(span, fromHz, toHz) {
  const resampler = new Resampler(fromHz, toHz);
  return async (start, n) => {
    const [first, length] = resampler.needed(start, n);
    return resampler.between(start, n, await span(first, length));
  };
}

/** @param {AsyncIterable<Float32Array<ArrayBuffer>>} pieces */
async function wholeOf(pieces) {
  const all = [];
  for await (const piece of pieces) all.push(piece);
  return all.length === 1 ? all[0] : joined(all, all.reduce((sum, { length }) => sum + length, 0));
}

/**
 * @param {AsyncIterable<Float32Array<ArrayBuffer>> | Float32Array<ArrayBuffer>[]} pieces
 * @param {number} fromHz
 * @param {number} toHz
 * @param {string} name
 */
async function* resampled(pieces, fromHz, toHz, name) {
  const resampler = new Resampler(fromHz, toHz);
  for await (const piece of pieces) {
    const samples = resampler.push(piece);
    if (samples !== piece) piece.buffer.transfer?.(0); // it is freed now, not when the browser looks for memory
    check(samples, name, toHz, 0);
    if (samples.length) yield samples;
  }
  const rest = resampler.flush();
  if (rest.length) yield rest;
}

/**
 * All of it as one piece, and its rate: the first that this browser has.
 * @param {Blob} file
 * @param {string} name
 * @param {[number, number]} ratesHz
 * @returns {Promise<[Float32Array<ArrayBuffer>[], number]>}
 */
async function byBrowser(file, name, ratesHz) {
  const buffer = await readBytes(file);
  if (buffer.byteLength === 0) throw new OidoError("EmptyAudioError", `${name}: is empty`);
  let decoded;
  try {
    decoded = await contextAt(...ratesHz).decodeAudioData(buffer);
  } catch (error) {
    throw new OidoError(
      "UnknownFormatError",
      `${name}: this browser cannot decode it; try WAV, FLAC, MP3, M4A or Ogg`,
      { cause: error },
    );
  }
  const mono = asWritten(decoded.getChannelData(0).slice());
  for (let channel = 1; channel < decoded.numberOfChannels; channel++) {
    const other = asWritten(decoded.getChannelData(channel).slice());
    for (let index = 0; index < mono.length; index++) mono[index] += other[index];
  }
  const share = Math.fround(1 / decoded.numberOfChannels);
  if (decoded.numberOfChannels > 1) for (let index = 0; index < mono.length; index++) mono[index] *= share;
  return [[mono], decoded.sampleRate];
}

/**
 * @param {number} wantedHz
 * @param {number} otherHz
 */
function contextAt(wantedHz, otherHz) {
  try {
    return new OfflineAudioContext(1, 1, wantedHz);
  } catch {
    return new OfflineAudioContext(1, 1, otherHz);
  }
}

/*
 * Chromium divides the 16-bit samples of FLAC and others by 32767 where they are positive, and by 32768 where
 * they are not. Where that is what was done, and no resampling came after it, each is given what Python gives.
 */
/** @param {Float32Array<ArrayBuffer>} samples */
function asWritten(samples) {
  for (const sample of samples) {
    const number = sample * (sample > 0 ? 32767 : 32768);
    if (Math.abs(number - Math.round(number)) > 0.004) return samples;
  }
  return samples.map((sample) => (sample > 0 ? Math.round(sample * 32767) / 32768 : sample));
}

/**
 * @param {Float32Array} samples
 * @param {string} name
 * @param {number} sampleRateHz
 * @param {number} [shortest] seconds
 */
function check(samples, name, sampleRateHz, shortest = SHORTEST_SECONDS) {
  if (samples.length < shortest * sampleRateHz) {
    throw new OidoError("EmptyAudioError", `${name}: holds only ${samples.length} samples, too few to be a sound`);
  }
  if (samples.length === 0) return;
  let energy = 0;
  // By index: an iterator makes an object of each number, of which an hour has millions.
  for (let index = 0; index < samples.length; index++) energy += samples[index] * samples[index];
  if (energy < LOUDEST_RMS ** 2 * samples.length) return;
  const bad = samples.findIndex((sample) => !Number.isFinite(sample));
  throw new OidoError(
    "InvalidSamplesError",
    bad < 0
      ? `${name}: float samples belong in [-1, 1], and these are far beyond`
      : `${name}: has NaN or infinite samples, the first at ${(bad / sampleRateHz).toFixed(3)} s`,
  );
}
