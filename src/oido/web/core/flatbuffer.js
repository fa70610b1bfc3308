// SPDX-License-Identifier: Apache-2.0

/**
 * A table of a flatbuffer, read by field number, so that no generated code is needed.
 * A damaged one sends offsets anywhere: then RangeError is all that comes of it.
 */
export class Table {
  /** @param {DataView} view @param {number} position of the table */
  constructor(view, position) {
    this.view = view;
    this.position = position;
  }

  /**
   * The root table of a whole flatbuffer.
   * @param {Uint8Array} bytes
   */
  static root(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new Table(view, view.getUint32(0, true));
  }

  /** @param {number} field */
  uint8(field) {
    return this.#read(field, (at) => this.view.getUint8(at), 0);
  }

  /** @param {number} field */
  int8(field) {
    return this.#read(field, (at) => this.view.getInt8(at), 0);
  }

  /** @param {number} field */
  uint32(field) {
    return this.#read(field, (at) => this.view.getUint32(at, true), 0);
  }

  /**
   * A finite float32.
   * @param {number} field
   */
  real(field) {
    const value = this.#read(field, (at) => this.view.getFloat32(at, true), 0);
    if (!Number.isFinite(value)) throw new RangeError(`not a number: ${value}`);
    return value;
  }

  /** @param {number} field */
  text(field) {
    return this.#read(field, (at) => decodeUtf8(this.#bytesAt(at)), "");
  }

  /**
   * The bytes of a [ubyte] field, a view; null if it is not there.
   * @param {number} field
   * @returns {Uint8Array | null}
   */
  bytes(field) {
    return this.#read(field, (at) => this.#bytesAt(at), null);
  }

  /**
   * @param {number} field
   * @returns {Table | null}
   */
  table(field) {
    return this.#read(field, (at) => new Table(this.view, at + this.view.getUint32(at, true)), null);
  }

  /**
   * @param {number} field
   * @returns {Table[]}
   */
  tables(field) {
    return this.#vector(field, 4, (at) => new Table(this.view, at + this.view.getUint32(at, true)));
  }

  /**
   * The numbers of an [int] field.
   * @param {number} field
   */
  int32s(field) {
    return this.#vector(field, 4, (at) => this.view.getInt32(at, true));
  }

  /** @param {number} at */
  #bytesAt(at) {
    const start = at + this.view.getUint32(at, true);
    const length = this.view.getUint32(start, true);
    if (start + 4 + length > this.view.byteLength) throw new RangeError("longer than its buffer");
    return new Uint8Array(this.view.buffer, this.view.byteOffset + start + 4, length);
  }

  /**
   * @template T
   * @param {number} field
   * @param {number} size
   * @param {(at: number) => T} read
   */
  #vector(field, size, read) {
    const at = this.#find(field);
    if (at === null) return [];
    const start = at + this.view.getUint32(at, true);
    const length = this.view.getUint32(start, true);
    if (start + 4 + length * size > this.view.byteLength) throw new RangeError("longer than its buffer");
    return Array.from({ length }, (_, index) => read(start + 4 + size * index));
  }

  /**
   * @template T, M
   * @param {number} field
   * @param {(at: number) => T} read
   * @param {M} missing
   */
  #read(field, read, missing) {
    const at = this.#find(field);
    return at === null ? missing : read(at);
  }

  /** @param {number} field */
  #find(field) {
    const vtable = this.position - this.view.getInt32(this.position, true);
    const slot = 4 + 2 * field;
    if (slot >= this.view.getUint16(vtable, true)) return null;
    const offset = this.view.getUint16(vtable + slot, true);
    return offset === 0 ? null : this.position + offset;
  }
}

/**
 * Text of UTF-8; TypeError if it is none.
 * @param {Uint8Array} bytes
 */
export function decodeUtf8(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
