// SPDX-License-Identifier: Apache-2.0

/*
 * The files that are packed in a model: a ZIP behind its end (PKWARE's APPNOTE.TXT). Offsets in it
 * count from the start of the ZIP or of the whole file, as its writer liked.
 */

import { OidoError, messageOf } from "./errors.js";

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 0xffff;
const STORED = 0;
const DEFLATED = 8;

/**
 * @typedef {{method: number, crc: number, packedBytes: number, bytes: number, start: number, name: string}} Entry
 */

/**
 * The packed files by name, Map of Uint8Array; empty if nothing is packed. Throws OidoError.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<Map<string, Uint8Array>>}
 */
export async function packedFiles(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = findEnd(view);
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  if (end < 0) return files;
  try {
    for (const entry of entries(bytes, view, end)) files.set(entry.name, await content(entry, bytes, view));
  } catch (error) {
    throw new OidoError("ModelFormatError", `the files packed in the model are damaged (${messageOf(error)})`, {
      cause: error,
    });
  }
  return files;
}

/**
 * A model without its packed files.
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
export function withoutPacked(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = findEnd(view);
  if (end < 0) return bytes;
  const starts = [...entries(bytes, view, end)].map(({ start }) => start);
  return bytes.subarray(0, Math.min(...starts, end));
}

/** @param {DataView} view */
function findEnd(view) {
  const last = view.byteLength - END_BYTES;
  for (let at = last; at >= Math.max(0, last - LONGEST_COMMENT); at--) {
    if (view.getUint32(at, true) === END_SIGNATURE && at + END_BYTES + view.getUint16(at + 20, true) <= view.byteLength) {
      return at;
    }
  }
  return -1;
}

/**
 * @param {Uint8Array} bytes
 * @param {DataView} view
 * @param {number} end
 * @returns {Generator<Entry>}
 */
function* entries(bytes, view, end) {
  const count = view.getUint16(end + 10, true);
  const size = view.getUint32(end + 12, true);
  const shift = end - size - view.getUint32(end + 16, true);
  let at = end - size;
  for (let number = 0; number < count; number++) {
    if (view.getUint32(at, true) !== ENTRY_SIGNATURE) throw new RangeError("no such entry");
    const lengths = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    yield {
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packedBytes: view.getUint32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      start: view.getUint32(at + 42, true) + shift,
      name: new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + lengths[0])),
    };
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
}

/**
 * @param {Entry} entry
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {DataView} view
 */
async function content(entry, bytes, view) {
  if (view.getUint32(entry.start, true) !== LOCAL_SIGNATURE) throw new RangeError("no such file");
  const start = entry.start + 30 + view.getUint16(entry.start + 26, true) + view.getUint16(entry.start + 28, true);
  const packed = bytes.subarray(start, start + entry.packedBytes);
  if (entry.method !== STORED && entry.method !== DEFLATED) throw new RangeError(`method ${entry.method}`);
  const plain = entry.method === STORED ? packed : await inflated(packed);
  if (plain.length !== entry.bytes || crc32(plain) !== entry.crc) throw new RangeError(`bad CRC-32 of ${entry.name}`);
  return plain;
}

/** @param {Uint8Array<ArrayBuffer>} packed */
async function inflated(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/**
 * The checksum of a ZIP's file.
 * @param {Uint8Array} bytes
 * @returns {number}
 */
export function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
