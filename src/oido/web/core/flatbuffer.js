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

  /** The root table of a whole flatbuffer. */
  static root(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new Table(view, view.getUint32(0, true));
  }

  uint8(field) {
    return this.#read(field, (at) => this.view.getUint8(at), 0);
  }

  int8(field) {
    return this.#read(field, (at) => this.view.getInt8(at), 0);
  }

  uint32(field) {
    return this.#read(field, (at) => this.view.getUint32(at, true), 0);
  }

  /** A finite float32. */
  real(field) {
    const value = this.#read(field, (at) => this.view.getFloat32(at, true), 0);
    if (!Number.isFinite(value)) throw new RangeError(`not a number: ${value}`);
    return value;
  }

  text(field) {
    return this.#read(field, (at) => decodeUtf8(this.#bytesAt(at)), "");
  }

  /** The bytes of a [ubyte] field, a view; null if it is not there. */
  bytes(field) {
    return this.#read(field, (at) => this.#bytesAt(at), null);
  }

  table(field) {
    return this.#read(field, (at) => new Table(this.view, at + this.view.getUint32(at, true)), null);
  }

  tables(field) {
    return this.#vector(field, 4, (at) => new Table(this.view, at + this.view.getUint32(at, true)));
  }

  /** The numbers of an [int] field. */
  int32s(field) {
    return this.#vector(field, 4, (at) => this.view.getInt32(at, true));
  }

  #bytesAt(at) {
    const start = at + this.view.getUint32(at, true);
    const length = this.view.getUint32(start, true);
    if (start + 4 + length > this.view.byteLength) throw new RangeError("longer than its buffer");
    return new Uint8Array(this.view.buffer, this.view.byteOffset + start + 4, length);
  }

  #vector(field, size, read) {
    const at = this.#find(field);
    if (at === null) return [];
    const start = at + this.view.getUint32(at, true);
    const length = this.view.getUint32(start, true);
    if (start + 4 + length * size > this.view.byteLength) throw new RangeError("longer than its buffer");
    return Array.from({ length }, (_, index) => read(start + 4 + size * index));
  }

  #read(field, read, missing) {
    const at = this.#find(field);
    return at === null ? missing : read(at);
  }

  #find(field) {
    const vtable = this.position - this.view.getInt32(this.position, true);
    const slot = 4 + 2 * field;
    if (slot >= this.view.getUint16(vtable, true)) return null;
    const offset = this.view.getUint16(vtable + slot, true);
    return offset === 0 ? null : this.position + offset;
  }
}

/** Text of UTF-8; TypeError if it is none. */
export function decodeUtf8(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
