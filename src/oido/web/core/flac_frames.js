// SPDX-License-Identifier: Apache-2.0

/*
 * The frames of a FLAC file (RFC 9639). A frame does not tell its length: it ends where its CRC-16 is right and the
 * header of the next one, with a CRC-8 of its own, begins.
 */

import { ByteWindow, readBytes } from "./byte_window.js";

/** @import { Encoded } from "./webcodecs.js" */

const STREAMINFO_BYTES = 34;
const LONGEST_HEADER = 16;

/**
 * The file's frames, or null if it is no FLAC.
 * @param {Blob} file
 * @returns {Promise<Encoded | null>}
 */
export async function flacFrames(file) {
  const head = new Uint8Array(await readBytes(file, 0, 8 + STREAMINFO_BYTES));
  if (head.length < 8 + STREAMINFO_BYTES || String.fromCharCode(...head.subarray(0, 4)) !== "fLaC") return null;
  const view = new DataView(head.buffer, 8);
  const sampleRate = view.getUint32(10) >>> 12;
  const numberOfChannels = ((view.getUint8(12) >> 1) & 7) + 1;
  const total = (view.getUint8(13) & 15) * 2 ** 32 + view.getUint32(14);
  const bits = ((view.getUint16(12) >> 4) & 31) + 1;
  const blockSamples = view.getUint16(2);
  const longest = blockSamples * numberOfChannels * Math.ceil((bits + 1) / 8) + 256; // its samples as they are
  const start = await metadataBytes(file);
  if (!sampleRate || !total || start === null) return null;
  const description = head.slice();
  description[4] |= 0x80; // no other block follows
  return {
    config: { codec: "flac", sampleRate, numberOfChannels, description },
    seconds: total / sampleRate,
    isCounted: true,
    skip: 0,
    frames: () => framesOf(new ByteWindow(file, start), { blockSamples, longest, total }),
  };
}

/**
 * Where the frames begin.
 * @param {Blob} file
 */
async function metadataBytes(file) {
  for (let at = 4; at + 4 <= file.size; ) {
    const view = new DataView(await readBytes(file, at, at + 4));
    at += 4 + (view.getUint32(0) & 0xffffff);
    if (view.getUint8(0) & 0x80) return at;
  }
  return null;
}

/**
 * Frames, and silence where some are damaged or missing: each frame tells where its first sample stands.
 * @param {ByteWindow} window
 * @param {{blockSamples: number, longest: number, total: number}} stream longest: bytes of a frame
 */
async function* framesOf(window, { blockSamples, longest, total }) {
  let crc = 0;
  let at = 0; // bytes of the frame so far, of which crc is the CRC-16
  /** Where the next sample stands; null: at the start. @type {number | null} */
  let clock = null;
  for (;;) {
    const { bytes, isLast } = window;
    const limit = isLast ? bytes.length : bytes.length - LONGEST_HEADER;
    const end = Math.min(limit, longest + 1);
    let found = -1;
    for (; at < end; at++) {
      // The CRC-16 over a frame and its own CRC is 0.
      if (at > 0 && crc === 0 && headerAt(bytes, at, blockSamples)) {
        found = at;
        break;
      }
      crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >> 8) ^ bytes[at]];
    }
    const isAtEnd = isLast && at >= limit;
    if (found < 0 && (at > longest || (isAtEnd && crc !== 0))) {
      const next = nextHeader(bytes, limit, blockSamples);
      if (next > 0 || !isLast) {
        window.drop(next > 0 ? next : limit);
        at = crc = 0;
        continue;
      }
    }
    if (found < 0 && !isLast) {
      await window.grow();
      continue;
    }
    const header = headerAt(bytes, 0, blockSamples);
    if (header !== null) {
      const lost = clock === null || header.position >= total ? 0 : header.position - clock;
      if (lost > 0) yield { bytes: null, samples: lost };
      clock = header.position + header.samples;
      yield { bytes: bytes.slice(0, found > 0 ? found : undefined), samples: header.samples };
    }
    if (found < 0) return;
    window.drop(found);
    at = crc = 0;
  }
}

/**
 * Where the next frame may begin, behind a damage; -1: not before the limit.
 * @param {Uint8Array} bytes
 * @param {number} limit
 * @param {number} blockSamples
 */
function nextHeader(bytes, limit, blockSamples) {
  for (let at = 1; at < limit; at++) if (headerAt(bytes, at, blockSamples)) return at;
  return -1;
}

/**
 * What a frame's header tells: where its first sample stands, and how many it has; null where there is no header.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} blockSamples of all frames but the last, where these are of one size
 */
function headerAt(bytes, at, blockSamples) {
  if (bytes[at] !== 0xff || (bytes[at + 1] & 0xfe) !== 0xf8) return null;
  const [size, rate] = [bytes[at + 2] >> 4, bytes[at + 2] & 15];
  const more = Math.max(0, Math.clz32(~(bytes[at + 4] << 24)) - 1); // bytes of its number, written as UTF-8 is
  let end = at + 5;
  let number = more ? bytes[at + 4] & (0x3f >> more) : bytes[at + 4];
  for (let n = 0; n < more; n++) number = number * 64 + (bytes[end++] & 63);
  let samples = size === 1 ? 192 : size < 6 ? 144 << size : 1 << size;
  if (size === 6) samples = bytes[end++] + 1;
  else if (size === 7) samples = 256 * bytes[end++] + bytes[end++] + 1;
  end += rate === 12 ? 1 : rate === 13 || rate === 14 ? 2 : 0;
  if (end >= bytes.length || size === 0 || rate === 15) return null;
  let crc = 0;
  for (let place = at; place < end; place++) crc = CRC8[crc ^ bytes[place]];
  const isOfAnySize = (bytes[at + 1] & 1) === 1; // its number is that of a sample, not of a frame
  return crc === bytes[end] ? { position: isOfAnySize ? number : number * blockSamples, samples } : null;
}

const CRC8 = table(8, 0x07);
const CRC16 = table(16, 0x8005);

/**
 * @param {number} bits
 * @param {number} polynomial
 */
function table(bits, polynomial) {
  const [top, mask] = [1 << (bits - 1), 2 ** bits - 1];
  return Uint16Array.from({ length: 256 }, (_, byte) => {
    let value = byte << (bits - 8);
    for (let bit = 0; bit < 8; bit++) value = (value & top ? (value << 1) ^ polynomial : value << 1) & mask;
    return value;
  });
}
