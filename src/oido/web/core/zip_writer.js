// SPDX-License-Identifier: Apache-2.0

/* A ZIP whose files are not compressed (PKWARE's APPNOTE.TXT): for packed files of a model, and clips to take along. */

import { crc32 } from "./archive.js";

const LOCAL_SIGNATURE = 0x04034b50;
const ENTRY_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const VERSION = 20;
const UTF_8 = 0x800; // of the names
const DATE = 0x21; // 1980-01-01, so that the same files give the same bytes

/**
 * The ZIP of some files.
 * @param {{name: string, content: Uint8Array}[]} files
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function storedZip(files) {
  /** @type {Uint8Array[]} */
  const parts = [];
  /** @type {Uint8Array[]} */
  const entries = [];
  let at = 0;
  for (const { name, content } of files) {
    const letters = new TextEncoder().encode(name);
    const facts = [VERSION, UTF_8, 0, 0, DATE];
    const sizes = [crc32(content), content.length, content.length];
    const local = record(LOCAL_SIGNATURE, [...facts, ...sizes.map(long), letters.length, 0]);
    const rest = [0, 0, 0, 0, long(0), long(at)]; // no comment, the first disk, no attributes, where it begins
    entries.push(record(ENTRY_SIGNATURE, [VERSION, ...facts, ...sizes.map(long), letters.length, ...rest]), letters);
    parts.push(local, letters, content);
    at += local.length + letters.length + content.length;
  }
  const listed = entries.reduce((sum, { length }) => sum + length, 0);
  const end = record(END_SIGNATURE, [0, 0, files.length, files.length, long(listed), long(at), 0]);
  return joined([...parts, ...entries, end]);
}

/**
 * Arrays of bytes, one after the other.
 * @param {Uint8Array[]} parts
 */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * A number of four bytes; others of a record have two.
 * @param {number} value
 */
const long = (value) => ({ value });

/**
 * @param {number} signature
 * @param {(number | {value: number})[]} values
 */
function record(signature, values) {
  const bytes = [long(signature), ...values].flatMap((each) => {
    const [value, length] = typeof each === "number" ? [each, 2] : [each.value, 4];
    return Array.from({ length }, (_, place) => (value >>> (8 * place)) & 0xff);
  });
  return Uint8Array.from(bytes);
}
