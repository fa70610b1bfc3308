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
  const blockSamples = view.getUint16(2);
  const start = await metadataBytes(file);
  if (!sampleRate || !total || start === null) return null;
  const description = head.slice();
  description[4] |= 0x80; // no other block follows
  return {
    config: { codec: "flac", sampleRate, numberOfChannels, description },
    seconds: total / sampleRate,
    isCounted: true,
    skip: 0,
    frames: () => framesOf(new ByteWindow(file, start), blockSamples),
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
 * @param {ByteWindow} window
 * @param {number} samples
 */
async function* framesOf(window, samples) {
  let crc = 0;
  let at = 0; // bytes of the frame so far, of which crc is the CRC-16
  for (;;) {
    const { bytes, isLast } = window;
    const end = isLast ? bytes.length : bytes.length - LONGEST_HEADER;
    let found = -1;
    for (; at < end; at++) {
      // The CRC-16 over a frame and its own CRC is 0.
      if (at > 0 && crc === 0 && isHeader(bytes, at)) {
        found = at;
        break;
      }
      crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >> 8) ^ bytes[at]];
    }
    if (found > 0) {
      yield { bytes: bytes.slice(0, found), samples };
      window.drop(found);
      at = crc = 0;
    } else if (isLast) {
      if (bytes.length) yield { bytes: bytes.slice(), samples };
      return;
    } else {
      await window.grow();
    }
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 */
function isHeader(bytes, at) {
  if (bytes[at] !== 0xff || (bytes[at + 1] & 0xfe) !== 0xf8) return false;
  const [size, rate] = [bytes[at + 2] >> 4, bytes[at + 2] & 15];
  let end = at + 5;
  for (let mask = 0x40; bytes[at + 4] >= 0x80 && bytes[at + 4] & mask; mask >>= 1) end++;
  end += (size === 6 ? 1 : size === 7 ? 2 : 0) + (rate === 12 ? 1 : rate === 13 || rate === 14 ? 2 : 0);
  if (end >= bytes.length || size === 0 || rate === 15) return false;
  let crc = 0;
  for (let place = at; place < end; place++) crc = CRC8[crc ^ bytes[place]];
  return crc === bytes[end];
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
