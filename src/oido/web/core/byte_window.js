// SPDX-License-Identifier: Apache-2.0

import { OidoError, messageOf } from "./errors.js";

const CHUNK_BYTES = 1 << 20;

/**
 * A part of a file. Throws an OidoError where it cannot be read, or not any more: it was moved, changed or deleted.
 * @param {Blob & {name?: string}} file
 * @param {number} [start]
 * @param {number} [end]
 */
export async function readBytes(file, start = 0, end = file.size) {
  try {
    return await file.slice(start, end).arrayBuffer();
  } catch (error) {
    throw unreadable(file, error);
  }
}

/**
 * @param {{name?: string}} file
 * @param {unknown} cause
 */
function unreadable(file, cause) {
  const message = `${file.name ?? "the file"}: cannot be read (${messageOf(cause)})`;
  return new OidoError("AudioNotFoundError", message, { cause });
}

/**
 * A part of a file, n bytes after n bytes, the last time fewer. Each is there until the next one is asked for: where
 * the browser can, all are read into the same memory, because it is slow to collect so much.
 * @param {Blob & {name?: string}} file
 * @param {number} start
 * @param {number} end
 * @param {number} n
 * @returns {AsyncGenerator<DataView<ArrayBuffer>>}
 */
export async function* bytesInTurn(file, start, end, n) {
  const reader = intoOwnMemory(file.slice(start, end));
  if (reader === null) {
    for (let at = start; at < end; at += n) yield new DataView(await readBytes(file, at, Math.min(at + n, end)));
    return;
  }
  let buffer = new ArrayBuffer(n);
  try {
    for (let at = start; at < end; at += n) {
      const wanted = Math.min(n, end - at);
      for (let filled = 0; filled < wanted;) {
        const { value } = await reader.read(new Uint8Array(buffer, filled, wanted - filled));
        if (!value?.byteLength) throw new RangeError("it became shorter");
        buffer = value.buffer;
        filled += value.byteLength;
      }
      yield new DataView(buffer, 0, wanted);
    }
  } catch (error) {
    throw unreadable(file, error);
  } finally {
    reader.cancel().catch(() => {}); // what is not wanted any more
  }
}

/**
 * @param {Blob} blob
 * @returns {ReadableStreamBYOBReader | null} null: this browser has none
 */
function intoOwnMemory(blob) {
  try {
    return blob.stream().getReader({ mode: "byob" });
  } catch {
    return null;
  }
}

/** The bytes of a file from some place on, of which a few are in memory at a time. */
export class ByteWindow {
  #file;
  #start;
  #bytes = new Uint8Array(0);

  /**
   * @param {Blob} file
   * @param {number} [start]
   */
  constructor(file, start = 0) {
    this.#file = file;
    this.#start = start;
  }

  /** Where in the file the first byte that is here stands. */
  get start() {
    return this.#start;
  }

  /** What is here. */
  get bytes() {
    return this.#bytes;
  }

  /** Whether there is nothing behind what is here. */
  get isLast() {
    return this.#start + this.#bytes.length >= this.#file.size;
  }

  /** Reads on, some more than is here. */
  async grow() {
    const end = this.#start + this.#bytes.length;
    const more = new Uint8Array(await readBytes(this.#file, end, end + CHUNK_BYTES));
    const all = new Uint8Array(this.#bytes.length + more.length);
    all.set(this.#bytes);
    all.set(more, this.#bytes.length);
    this.#bytes = all;
  }

  /**
   * So many bytes are not needed any more.
   * @param {number} n
   */
  drop(n) {
    this.#bytes = this.#bytes.subarray(n);
    this.#start += n;
  }
}
