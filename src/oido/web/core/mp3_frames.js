// SPDX-License-Identifier: Apache-2.0

/*
 * The frames of an MP3 file (ISO/IEC 11172-3 and 13818-3, layer III): each begins with a header that tells its length.
 * Tags before and between them are passed over.
 */

import { ByteWindow, readBytes } from "./byte_window.js";

/** @import { Encoded } from "./webcodecs.js" */

const HEADER_BYTES = 4;
const RATES = [44100, 48000, 32000];
const KBITS = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
const DECODER_DELAY = 529; // samples that every decoder of layer III adds

/** @typedef {{bytes: number, samples: number, sampleRateHz: number, channels: number, sideBytes: number}} Header */

/**
 * The file's frames, or null if it is no MP3.
 * @param {Blob} file
 * @returns {Promise<Encoded | null>}
 */
export async function mp3Frames(file) {
  const window = new ByteWindow(file, await tagBytes(file));
  await window.grow();
  const at = firstFrame(window.bytes);
  const header = at < 0 ? null : headerAt(window.bytes, at);
  if (header === null) return null;
  const { sampleRateHz, channels } = header;
  const about = readXing(window.bytes, at, header);
  const start = window.start + at + (about ? header.bytes : 0);
  const nFrames = about?.nFrames ?? (file.size - start) / header.bytes;
  return {
    config: { codec: "mp3", sampleRate: sampleRateHz, numberOfChannels: channels },
    seconds: (nFrames * header.samples) / sampleRateHz,
    isCounted: Boolean(about?.nFrames),
    skip: about?.delay ? about.delay + DECODER_DELAY : 0,
    frames: () => framesOf(new ByteWindow(file, start)),
  };
}

/** @param {ByteWindow} window */
async function* framesOf(window) {
  for (let at = 0; ; ) {
    const left = window.bytes.length - at;
    const header = left < HEADER_BYTES ? null : headerAt(window.bytes, at);
    if (left < HEADER_BYTES || (header && left < header.bytes)) {
      if (window.isLast) return;
      window.drop(at);
      at = 0;
      await window.grow();
    } else if (header === null) {
      at++;
    } else {
      yield { bytes: window.bytes.slice(at, at + header.bytes), samples: header.samples };
      at += header.bytes;
    }
  }
}

/**
 * What stands before the sound: an ID3v2 tag.
 * @param {Blob} file
 */
async function tagBytes(file) {
  const head = new Uint8Array(await readBytes(file, 0, 10));
  if (String.fromCharCode(...head.subarray(0, 3)) !== "ID3" || head.length < 10) return 0;
  const [a, b, c, d] = head.subarray(6);
  return 10 + ((a & 127) << 21) + ((b & 127) << 14) + ((c & 127) << 7) + (d & 127) + (head[5] & 16 ? 10 : 0);
}

/**
 * The first header whose frame is followed by two more like it, so that no chance bytes are one; -1 if there is none.
 * @param {Uint8Array} bytes
 */
function firstFrame(bytes) {
  for (let at = 0; at < Math.min(bytes.length - HEADER_BYTES, 65536); at++) {
    let next = at;
    let followed = 0;
    for (; followed < 3; followed++) {
      const header = headerAt(bytes, next);
      if (header === null) break;
      next += header.bytes;
    }
    if (followed === 3) return at;
  }
  return -1;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {Header | null}
 */
function headerAt(bytes, at) {
  if (at + HEADER_BYTES > bytes.length || bytes[at] !== 0xff || (bytes[at + 1] & 0xe0) !== 0xe0) return null;
  const version = (bytes[at + 1] >> 3) & 3; // 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
  const layer = (bytes[at + 1] >> 1) & 3;
  const kbits = KBITS[version === 3 ? 0 : 1][bytes[at + 2] >> 4];
  const rate = RATES[(bytes[at + 2] >> 2) & 3];
  if (version === 1 || layer !== 1 || !kbits || !rate) return null;
  const isFirst = version === 3;
  const sampleRateHz = rate / (isFirst ? 1 : version === 2 ? 2 : 4);
  const samples = isFirst ? 1152 : 576;
  const padding = (bytes[at + 2] >> 1) & 1;
  const channels = bytes[at + 3] >> 6 === 3 ? 1 : 2;
  const length = Math.floor((samples * 125 * kbits) / sampleRateHz) + padding;
  const sideBytes = isFirst ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17;
  return { bytes: length, samples, sampleRateHz, channels, sideBytes };
}

/**
 * The first frame of most encoders is none of the sound: it tells how many follow, and the encoder's delay.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {Header} header
 */
function readXing(bytes, at, header) {
  const start = at + HEADER_BYTES + header.sideBytes;
  const name = String.fromCharCode(...bytes.subarray(start, start + 4));
  if (name !== "Xing" && name !== "Info") return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint32(start + 4);
  const nFrames = flags & 1 ? view.getUint32(start + 8) : null;
  const lame = start + 8 + [4, 4, 100, 4].reduce((sum, size, bit) => sum + (flags & (1 << bit) ? size : 0), 0);
  const encoder = String.fromCharCode(...bytes.subarray(lame, lame + 4));
  const delay = encoder === "LAME" || encoder === "Lavc" || encoder === "Lavf" ? view.getUint16(lame + 21) >> 4 : 0;
  return { nFrames, delay };
}
