// SPDX-License-Identifier: Apache-2.0

/*
 * Writing flatbuffers without generated code: tables are described as plain values, and laid out here. Offsets in a
 * flatbuffer point forward only, so what is new stands in front, and may point into an older one behind it, whose bytes
 * stay as they are: a large file gets other tables without being written anew.
 */

/**
 * A number in a table; each takes four bytes, so that all lie alike.
 * @typedef {{kind: "byte" | "int" | "float", value: number}} Scalar
 *
 * @typedef {{kind: "table", fields: [number, Scalar | Node][]} | {kind: "list", nodes: Node[]} |
 *   {kind: "ints", values: number[]} | {kind: "text", bytes: Uint8Array} | {kind: "bytes", bytes: Uint8Array} |
 *   {kind: "old", position: number}} Node
 */

const HEADER_BYTES = 8; // where the root is, and the identifier
const ALIGNED = 16; // what a model's constants, and so an older flatbuffer, must begin at a multiple of

/** @type {(value: number) => Scalar} */
export const byte = (value) => ({ kind: "byte", value });
/** @type {(value: number) => Scalar} */
export const int = (value) => ({ kind: "int", value });
/** @type {(value: number) => Scalar} */
export const float = (value) => ({ kind: "float", value });
/**
 * A table by the numbers of its fields.
 * @type {(fields: [number, Scalar | Node][]) => Node}
 */
export const table = (fields) => ({ kind: "table", fields });
/** @type {(nodes: Node[]) => Node} */
export const list = (nodes) => ({ kind: "list", nodes });
/** @type {(values: ArrayLike<number>) => Node} */
export const ints = (values) => ({ kind: "ints", values: Array.from(values) });
/** @type {(words: string) => Node} */
export const text = (words) => ({ kind: "text", bytes: new TextEncoder().encode(words) });
/** @type {(content: Uint8Array) => Node} */
export const bytes = (content) => ({ kind: "bytes", bytes: content });
/**
 * What stands at a place of the older flatbuffer.
 * @type {(position: number) => Node}
 */
export const old = (position) => ({ kind: "old", position });

/**
 * The flatbuffer of a root table. body: an older one that it points into. No node may stand in it twice.
 * @param {Node} root
 * @param {string} identifier four letters
 * @param {Uint8Array} [body]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function flatbuffer(root, identifier, body = new Uint8Array(0)) {
  const { nodes, places, end } = laidOut(root);
  const base = aligned(end, ALIGNED);
  const whole = new Uint8Array(base + body.length);
  whole.set(body, base);
  const view = new DataView(whole.buffer);
  /** @type {(node: Node) => number} */
  const placeOf = (node) => (node.kind === "old" ? base + node.position : (places.get(node) ?? 0));
  view.setUint32(0, placeOf(root), true);
  [...identifier].forEach((letter, n) => view.setUint8(4 + n, letter.charCodeAt(0)));
  for (const node of nodes) write(view, node, placeOf);
  return whole;
}

/**
 * The nodes in their order, each behind all that point at it.
 * @param {Node} root
 */
function laidOut(root) {
  /** @type {Map<Node, number>} */
  const places = new Map();
  const nodes = [root];
  let end = HEADER_BYTES;
  for (const node of nodes) {
    if (places.has(node)) throw new TypeError("a node stands in the flatbuffer twice");
    const place = placeFrom(node, end);
    places.set(node, place);
    end = place + sizeOf(node);
    for (const child of childrenOf(node)) if (child.kind !== "old") nodes.push(child);
  }
  return { nodes, places, end };
}

/**
 * @param {Node} node
 * @returns {Node[]}
 */
function childrenOf(node) {
  if (node.kind === "list") return node.nodes;
  if (node.kind !== "table") return [];
  return node.fields.map(([, value]) => value).filter(isNode);
}

/**
 * @param {Scalar | Node} value
 * @returns {value is Node}
 */
function isNode(value) {
  return value.kind !== "byte" && value.kind !== "int" && value.kind !== "float";
}

/**
 * Where a node can begin, at `end` or behind it; a table with its list of fields in front of it.
 * @param {Node} node
 * @param {number} end
 */
function placeFrom(node, end) {
  if (node.kind === "table") return aligned(end + listBytes(node.fields), 4);
  if (node.kind === "bytes") return aligned(end + 4, ALIGNED) - 4;
  return aligned(end, 4);
}

/** @param {Node} node */
function sizeOf(node) {
  switch (node.kind) {
    case "table":
      return 4 + 4 * node.fields.length;
    case "list":
      return 4 + 4 * node.nodes.length;
    case "ints":
      return 4 + 4 * node.values.length;
    case "text":
      return 4 + node.bytes.length + 1; // a zero ends it
    case "bytes":
      return 4 + node.bytes.length;
    case "old":
      return 0;
  }
}

/** @param {[number, Scalar | Node][]} fields */
function listBytes(fields) {
  return 4 + 2 * (1 + Math.max(-1, ...fields.map(([slot]) => slot)));
}

/**
 * @param {number} value
 * @param {number} step
 */
function aligned(value, step) {
  return Math.ceil(value / step) * step;
}

/**
 * @param {DataView<ArrayBuffer>} view
 * @param {Node} node
 * @param {(node: Node) => number} placeOf
 */
function write(view, node, placeOf) {
  const at = placeOf(node);
  /** @type {(from: number, target: Node) => void} */
  const point = (from, target) => view.setUint32(from, placeOf(target) - from, true);
  if (node.kind === "table") {
    const length = listBytes(node.fields);
    view.setInt32(at, length, true); // its list of fields stands right in front of it
    view.setUint16(at - length, length, true);
    view.setUint16(at - length + 2, sizeOf(node), true);
    node.fields.forEach(([slot, value], n) => {
      const place = at + 4 + 4 * n;
      view.setUint16(at - length + 4 + 2 * slot, place - at, true);
      if (isNode(value)) point(place, value);
      else setScalar(view, place, value);
    });
  } else if (node.kind === "list") {
    view.setUint32(at, node.nodes.length, true);
    node.nodes.forEach((child, n) => point(at + 4 + 4 * n, child));
  } else if (node.kind === "ints") {
    view.setUint32(at, node.values.length, true);
    node.values.forEach((value, n) => view.setInt32(at + 4 + 4 * n, value, true));
  } else if (node.kind !== "old") {
    view.setUint32(at, node.bytes.length, true);
    new Uint8Array(view.buffer).set(node.bytes, at + 4);
  }
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {Scalar} scalar
 */
function setScalar(view, at, { kind, value }) {
  if (kind === "float") view.setFloat32(at, value, true);
  else if (kind === "int") view.setInt32(at, value, true);
  else view.setUint8(at, value);
}
