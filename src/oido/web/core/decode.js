// SPDX-License-Identifier: Apache-2.0

/* From a file to mono samples at the model's rate, without leaving the device. */

import { OidoError, messageOf } from "./errors.js";
import { readWav } from "./wav.js";

const LOUDEST_RMS = 16; // float samples belong in [-1, 1]; recorders overshoot, but not this much
const SHORTEST_SECONDS = 0.001;

/**
 * Decodes a File (or a Blob). A WAV or a 16-bit FLAC at the model's rate gives the numbers that Python gets;
 * anything else is decoded and resampled by the browser, which differs from Python by its resampler.
 *
 * Throws an OidoError: UnknownFormatError, EmptyAudioError or InvalidSamplesError.
 *
 * @param {Blob & {name?: string}} file
 * @param {number} sampleRateHz
 * @returns {Promise<{samples: Float32Array<ArrayBuffer>, duration: number}>} mono at sampleRateHz; seconds
 */
export async function decodeFile(file, sampleRateHz) {
  const name = file.name ?? "the file";
  let buffer;
  try {
    buffer = await file.arrayBuffer();
  } catch (error) {
    throw new OidoError("AudioNotFoundError", `${name}: cannot be read (${messageOf(error)})`, { cause: error });
  }
  const wav = readWav(buffer);
  const samples = wav?.sampleRateHz === sampleRateHz ? wav.mono() : await byBrowser(buffer, name, sampleRateHz);
  check(samples, name, sampleRateHz);
  return { samples, duration: samples.length / sampleRateHz };
}

/**
 * @param {ArrayBuffer} buffer
 * @param {string} name
 * @param {number} sampleRateHz
 */
async function byBrowser(buffer, name, sampleRateHz) {
  if (buffer.byteLength === 0) throw new OidoError("EmptyAudioError", `${name}: is empty`);
  let decoded;
  try {
    decoded = await new OfflineAudioContext(1, 1, sampleRateHz).decodeAudioData(buffer);
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
  return mono;
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
 */
function check(samples, name, sampleRateHz) {
  if (samples.length < SHORTEST_SECONDS * sampleRateHz) {
    throw new OidoError("EmptyAudioError", `${name}: holds only ${samples.length} samples, too few to be a sound`);
  }
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  if (energy < LOUDEST_RMS ** 2 * samples.length) return;
  const bad = samples.findIndex((sample) => !Number.isFinite(sample));
  throw new OidoError(
    "InvalidSamplesError",
    bad < 0
      ? `${name}: float samples belong in [-1, 1], and these are far beyond`
      : `${name}: has NaN or infinite samples, the first at ${(bad / sampleRateHz).toFixed(3)} s`,
  );
}
