// SPDX-License-Identifier: Apache-2.0

/* ZIP files (PKWARE's APPNOTE.TXT) of files as they are: sound hardly becomes smaller, and tables are short. */

import { crc32 } from "./archive.js";

const LOCAL_SIGNATURE = 0x04034b50;
const ENTRY_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const VERSION = 20;
const UTF8_NAMES = 0x0800;
const MOST_FILES = 0xffff;
const MOST_BYTES = 0xffffffff;

/** @typedef {{name: string, content: Blob | Uint8Array<ArrayBuffer> | string}} ZipEntry */

/**
 * A ZIP of files, in their order. modified: when they were, for all. Throws a RangeError for more than a plain ZIP
 * holds (65,535 files, 4 GiB).
 * @param {ZipEntry[]} entries
 * @param {Date} [modified]
 * @returns {Promise<Blob>}
 */
export async function zipFiles(entries, modified = new Date()) {
  if (entries.length > MOST_FILES) throw new RangeError(`a ZIP holds no ${entries.length} files`);
  const time = dosTime(modified);
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {BlobPart[]} */
  const directory = [];
  let [offset, directoryBytes] = [0, 0];
  for (const { name, content } of entries) {
    const bytes = new Uint8Array(await new Blob([content]).arrayBuffer());
    const label = new TextEncoder().encode(name);
    // What both headers say of a file.
    const facts = { label, crc: crc32(bytes), size: bytes.length, time };
    const local = header(facts, null);
    const entry = header(facts, offset);
    parts.push(local, label, bytes);
    directory.push(entry, label);
    offset += local.byteLength + label.length + bytes.length;
    directoryBytes += entry.byteLength + label.length;
    if (offset + directoryBytes > MOST_BYTES) throw new RangeError("a ZIP holds no more than 4 GiB");
  }
  return new Blob([...parts, ...directory, end(entries.length, directoryBytes, offset)], { type: "application/zip" });
}

/**
 * The header before a file, or, with the place of that one, its entry in the directory.
 * @param {{label: Uint8Array, crc: number, size: number, time: number}} facts
 * @param {number | null} offset
 */
function header({ label, crc, size, time }, offset) {
  const isEntry = offset !== null;
  const view = new DataView(new ArrayBuffer(isEntry ? 46 : 30));
  view.setUint32(0, isEntry ? ENTRY_SIGNATURE : LOCAL_SIGNATURE, true);
  if (isEntry) view.setUint16(4, VERSION, true); // made by
  const at = isEntry ? 6 : 4;
  view.setUint16(at, VERSION, true);
  view.setUint16(at + 2, UTF8_NAMES, true);
  view.setUint32(at + 6, time, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, size, true);
  view.setUint32(at + 18, size, true);
  view.setUint16(at + 22, label.length, true);
  if (isEntry) view.setUint32(42, offset, true);
  return view;
}

/**
 * @param {number} count
 * @param {number} bytes of the directory
 * @param {number} offset of the directory
 */
function end(count, bytes, offset) {
  const view = new DataView(new ArrayBuffer(22));
  view.setUint32(0, END_SIGNATURE, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, bytes, true);
  view.setUint32(16, offset, true);
  return view;
}

/**
 * Date and time in 32 bits; steps of two seconds, from 1980 on.
 * @param {Date} date
 */
function dosTime(date) {
  const day = (Math.max(0, date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  return ((day << 16) | time) >>> 0;
}
