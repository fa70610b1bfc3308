// SPDX-License-Identifier: Apache-2.0

/*
 * Long MP3 and FLAC files, decoded frame by frame by the browser's own decoder (WebCodecs), so that never more of them
 * is in memory than a few seconds. Files of other formats have no frames that can be found without a container's index;
 * they are decoded as a whole, by decode.js.
 */

import { OidoError } from "./errors.js";
import { flacFrames } from "./flac_frames.js";
import { mp3Frames } from "./mp3_frames.js";

/**
 * What a file holds, and its frames in order. isCounted: whether the file itself tells its length, which else is about
 * so. skip: samples at the start that are the encoder's, not the sound's. bytes null: these samples are lost.
 * @typedef {{config: AudioDecoderConfig, seconds: number, isCounted: boolean, skip: number,
 *   frames: () => AsyncGenerator<{bytes: Uint8Array<ArrayBuffer> | null, samples: number}>}} Encoded
 */

const PIECE_SECONDS = 10;
const MOST_WAITING = 64; // frames in the decoder
const MISSING_SECONDS = 0.25; // what a file tells of its length counts an encoder's padding, too

/**
 * A file of frames, before it is decoded; null for one of another format, and where the browser has no decoder for it.
 * isDamaged: whether the file tells of more sound than so many seconds, or some was lost in the last pieces.
 * @param {Blob} file
 * @returns {Promise<{sampleRateHz: number, seconds: number, isDamaged: (seconds: number) => boolean,
 *   pieces: () => AsyncGenerator<Float32Array<ArrayBuffer>>} | null>}
 */
export async function openCompressed(file) {
  if (typeof AudioDecoder === "undefined") return null;
  const encoded = (await flacFrames(file)) ?? (await mp3Frames(file));
  if (encoded === null) return null;
  const { supported } = await AudioDecoder.isConfigSupported(encoded.config);
  if (!supported) return null;
  const { sampleRate } = encoded.config;
  const { seconds, isCounted } = encoded;
  let isLost = false;
  return {
    sampleRateHz: sampleRate,
    seconds,
    isDamaged: (found) => isLost || (isCounted && found < seconds - MISSING_SECONDS),
    pieces: () => {
      isLost = false;
      return decoded(encoded, () => (isLost = true));
    },
  };
}

/**
 * Mono pieces of PIECE_SECONDS, however many frames the decoder gives at once; the last may be shorter. Silence stands
 * for what is lost.
 * @param {Encoded} encoded
 * @param {() => void} onLost
 */
async function* decoded({ config, frames, skip }, onLost) {
  /** @type {Float32Array<ArrayBuffer>[]} */
  let ready = [];
  let length = 0;
  let left = skip;
  /** @type {unknown} */
  let failure = null;
  const decoder = new AudioDecoder({
    output: (data) => {
      const samples = monoOf(data);
      data.close();
      const kept = samples.subarray(Math.min(left, samples.length));
      left -= samples.length - kept.length;
      ready.push(kept);
      length += kept.length;
    },
    error: (error) => (failure = error),
  });
  const check = () => {
    if (failure) throw new OidoError("UnknownFormatError", "the browser cannot decode it", { cause: failure });
  };
  const most = PIECE_SECONDS * config.sampleRate;
  const take = () => {
    const all = joined(ready, length);
    const rest = all.slice(most);
    [ready, length] = rest.length ? [[rest], rest.length] : [[], 0];
    return rest.length ? all.slice(0, most) : all;
  };
  try {
    decoder.configure(config);
    let time = 0;
    for await (const { bytes, samples } of frames()) {
      if (bytes === null) {
        onLost();
        await decoder.flush();
        for (let rest = samples; rest > 0; rest -= most) {
          ready.push(new Float32Array(Math.min(rest, most)));
          length += Math.min(rest, most);
          while (length >= most) yield take();
        }
        continue;
      }
      decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: Math.round(time), data: bytes }));
      time += (1e6 * samples) / config.sampleRate;
      while (decoder.decodeQueueSize > MOST_WAITING) {
        await new Promise((resolve) => decoder.addEventListener("dequeue", resolve, { once: true }));
        check();
      }
      check();
      while (length >= most) yield take();
    }
    await decoder.flush().catch(() => {});
    check();
    while (length) yield take();
  } finally {
    if (decoder.state !== "closed") decoder.close();
  }
}

/** @param {AudioData} data */
function monoOf(data) {
  const mono = new Float32Array(data.numberOfFrames);
  data.copyTo(mono, { planeIndex: 0, format: "f32-planar" });
  if (data.numberOfChannels === 1) return mono;
  const other = new Float32Array(data.numberOfFrames);
  for (let channel = 1; channel < data.numberOfChannels; channel++) {
    data.copyTo(other, { planeIndex: channel, format: "f32-planar" });
    for (let index = 0; index < mono.length; index++) mono[index] += other[index];
  }
  for (let index = 0; index < mono.length; index++) mono[index] /= data.numberOfChannels;
  return mono;
}

/**
 * @param {Float32Array[]} pieces
 * @param {number} length
 */
export function joined(pieces, length) {
  const all = new Float32Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
