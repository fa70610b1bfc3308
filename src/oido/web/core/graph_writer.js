// SPDX-License-Identifier: Apache-2.0

/*
 * Operators behind a finished .tflite, as oido.models.tflite.builder adds them in Python: the graph's own tables and
 * constants stay as they are, and new ones stand in front of them. Numbers are those of TensorFlow Lite's schema.fbs.
 */

import { OidoError } from "./errors.js";
import { Table } from "./flatbuffer.js";
import { byte, bytes as vector, flatbuffer, int, ints, list, old, table, text } from "./flatbuffer_writer.js";

/** @import { Node, Scalar } from "./flatbuffer_writer.js" */

const IDENTIFIER = "TFL3";
const METADATA = "TFLITE_METADATA";
const MEANS = [1, 40]; // AVERAGE_POOL_2D, MEAN
const DENSE = [9]; // FULLY_CONNECTED

export const FLOAT32 = 0;
const INT32 = 2;

/** @type {Record<string, {code: number, version: number, options?: number}>} */
const OPERATORS = {
  ADD: { code: 0, version: 1, options: 11 },
  CONCATENATION: { code: 2, version: 1, options: 10 },
  DEQUANTIZE: { code: 6, version: 2, options: 38 },
  FULLY_CONNECTED: { code: 9, version: 1, options: 8 },
  RELU: { code: 19, version: 1 },
  RESHAPE: { code: 22, version: 1, options: 17 },
  SOFTMAX: { code: 25, version: 1, options: 9 },
  SQRT: { code: 75, version: 1 },
};

/**
 * @typedef {{kind: number, inputs: number[], outputs: number[], node: Node}} Operator
 *
 * A dense layer, by the numbers of the tensors that it takes.
 * @typedef {{x: number, weights: number, bias: number}} DenseLayer
 */

/** One graph, to which operators are added; tensors are handled by their numbers. */
export class GraphWriter {
  #body;
  #model;
  #graph;
  /** @type {{shape: number[], type: number, node: Node}[]} */
  #tensors;
  /** @type {Node[]} */
  #buffers;
  /** @type {Node[]} */
  #codes;
  /** @type {Map<string, number>} */
  #known = new Map();
  /** @type {Operator[]} */
  #operators;

  /**
   * Throws ModelFormatError for a file of several graphs, and one whose constants stand behind it.
   * @param {Uint8Array} body a .tflite, without packed files
   */
  constructor(body) {
    this.#body = body;
    this.#model = Table.root(body);
    const graphs = this.#model.tables(2);
    const buffers = this.#model.tables(4);
    if (graphs.length !== 1 || buffers.some((buffer) => buffer.uint32(1) > 1)) {
      throw new OidoError("ModelFormatError", "nothing can be written behind a graph of this kind");
    }
    [this.#graph] = graphs;
    const codes = this.#model.tables(1);
    this.#buffers = buffers.map(({ position }) => old(position));
    this.#codes = codes.map(({ position }) => old(position));
    this.#tensors = this.#graph.tables(0).map((tensor) => {
      return { shape: tensor.int32s(0), type: tensor.int8(1), node: old(tensor.position) };
    });
    this.#operators = this.#graph.tables(3).map((operator) => {
      const code = codes[operator.uint32(0)];
      const kind = Math.max(code.int8(0), code.uint32(3));
      return { kind, inputs: operator.int32s(1), outputs: operator.int32s(2), node: old(operator.position) };
    });
  }

  /** The tensors that it gives. */
  get outputs() {
    return this.#graph.int32s(2);
  }

  /** @param {number} tensor */
  shape(tensor) {
    return this.#tensors[tensor].shape;
  }

  /** @param {number} tensor */
  isFloat(tensor) {
    return this.#tensors[tensor].type === FLOAT32;
  }

  /**
   * The last mean over an image that a tensor is made from, or null.
   * @param {number} tensor
   */
  lastMean(tensor) {
    return this.#lastOf(MEANS, tensor)?.outputs[0] ?? null;
  }

  /**
   * The last dense layer that a tensor is made from, or null.
   * @param {number} tensor
   * @returns {DenseLayer | null}
   */
  lastDense(tensor) {
    const maker = this.#lastOf(DENSE, tensor);
    if (maker === undefined) return null;
    const [x, weights, bias] = maker.inputs;
    return { x, weights, bias };
  }

  /**
   * Gives a dense layer these rows more, without bias, wherever its weights are used.
   * @param {DenseLayer} layer
   * @param {Float32Array[]} rows
   */
  widen({ weights, bias }, rows) {
    const [n, size] = this.shape(weights);
    const all = n + rows.length;
    this.#replace(weights, [...this.#values(weights), ...rows.flatMap((row) => [...row])], [all, size]);
    this.#replace(bias, [...this.#values(bias), ...rows.map(() => 0)], [all]);
    for (const { kind, inputs, outputs } of this.#operators) {
      if (!DENSE.includes(kind) || inputs[1] !== weights) continue;
      const { shape, type } = this.#tensors[outputs[0]];
      this.#tensors[outputs[0]] = this.#tensorOf(outputs[0], [...shape.slice(0, -1), all], type, 0);
    }
  }

  /**
   * A constant; a Float32Array, or else whole numbers.
   * @param {Float32Array | number[]} values
   * @param {number[]} [shape]
   */
  constant(values, shape = [values.length]) {
    const isFloat = values instanceof Float32Array;
    const { buffer, byteOffset, byteLength } = isFloat ? values : Int32Array.from(values);
    this.#buffers.push(table([[0, vector(new Uint8Array(buffer, byteOffset, byteLength))]]));
    return this.#tensor(shape, isFloat ? FLOAT32 : INT32, this.#buffers.length - 1);
  }

  /**
   * An operator of one output, by its name; fields: of its options.
   * @param {string} name
   * @param {number[]} inputs
   * @param {number[]} shape
   * @param {[number, Scalar | Node][]} [fields]
   */
  add(name, inputs, shape, fields = []) {
    const { code, options } = OPERATORS[name];
    const output = this.#tensor(shape, FLOAT32, 0);
    /** @type {[number, Scalar | Node][]} */
    const operator = [[0, int(this.#codeOf(name))], [1, ints(inputs)], [2, ints([output])]];
    if (options !== undefined) operator.push([3, byte(options)], [4, table(fields)]);
    this.#operators.push({ kind: code, inputs, outputs: [output], node: table(operator) });
    return output;
  }

  /**
   * A float32 tensor [1, size] of the same values.
   * @param {number} tensor
   */
  flat(tensor) {
    let flat = tensor;
    if (!this.isFloat(flat)) flat = this.add("DEQUANTIZE", [flat], this.shape(flat));
    if (this.shape(flat).length === 2) return flat;
    const size = this.shape(flat).at(-1) ?? 1;
    const target = this.constant([-1, size]);
    return this.add("RESHAPE", [flat, target], [1, size], [[0, ints([-1, size])]]);
  }

  /**
   * The .tflite with these outputs, without operators that none of them needs, and with these metadata.
   * @param {number[]} outputs
   * @param {Uint8Array | null} [metadata]
   */
  finish(outputs, metadata = null) {
    const needed = new Set(outputs);
    const operators = this.#operators.toReversed().filter((operator) => {
      if (!operator.outputs.some((output) => needed.has(output))) return false;
      for (const input of operator.inputs) needed.add(input);
      return true;
    });
    const graph = table([
      [0, list(this.#tensors.map(({ node }) => node))],
      [1, ints(this.#graph.int32s(1))],
      [2, ints(outputs)],
      [3, list(operators.reverse().map(({ node }) => node))],
    ]);
    const entries = this.#model.tables(6).filter((entry) => entry.text(0) !== METADATA);
    const packed = entries.map(({ position }) => old(position));
    const buffers = [...this.#buffers];
    if (metadata) {
      packed.push(table([[0, text(METADATA)], [1, int(buffers.length)]]));
      buffers.push(table([[0, vector(metadata)]]));
    }
    const model = table([
      [0, int(this.#model.uint32(0))],
      [1, list(this.#codes)],
      [2, list([graph])],
      [3, text(this.#model.text(3))],
      [4, list(buffers)],
      [6, list(packed)],
    ]);
    return flatbuffer(model, IDENTIFIER, this.#body);
  }

  /**
   * The last operator of these kinds that a tensor is made from.
   * @param {number[]} kinds
   * @param {number} tensor
   */
  #lastOf(kinds, tensor) {
    const makers = new Map(this.#operators.flatMap((each) => each.outputs.map((output) => [output, each])));
    let at = tensor;
    for (let steps = this.#operators.length; steps > 0; steps--) {
      const maker = makers.get(at);
      if (maker === undefined || kinds.includes(maker.kind)) return maker;
      at = maker.inputs.find((input) => makers.has(input)) ?? -1;
    }
    return undefined;
  }

  /**
   * Those of a float32 constant that the file brought.
   * @param {number} tensor
   */
  #values(tensor) {
    const number = this.#graph.tables(0)[tensor].uint32(2);
    const content = this.#model.tables(4)[number].bytes(0) ?? new Uint8Array(0);
    return new Float32Array(content.slice().buffer);
  }

  /**
   * Other values in the place of a constant.
   * @param {number} tensor
   * @param {number[]} values
   * @param {number[]} shape
   */
  #replace(tensor, values, shape) {
    const { buffer } = Float32Array.from(values);
    this.#buffers.push(table([[0, vector(new Uint8Array(buffer))]]));
    this.#tensors[tensor] = this.#tensorOf(tensor, shape, FLOAT32, this.#buffers.length - 1);
  }

  /**
   * @param {number[]} shape
   * @param {number} type
   * @param {number} buffer
   */
  #tensor(shape, type, buffer) {
    const number = this.#tensors.length;
    this.#tensors.push(this.#tensorOf(number, shape, type, buffer));
    return number;
  }

  /**
   * @param {number} number
   * @param {number[]} shape
   * @param {number} type
   * @param {number} buffer
   */
  #tensorOf(number, shape, type, buffer) {
    const node = table([[0, ints(shape)], [1, byte(type)], [2, int(buffer)], [3, text(`taught_${number}`)]]);
    return { shape, type, node };
  }

  /** @param {string} name */
  #codeOf(name) {
    const { code, version } = OPERATORS[name];
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    this.#codes.push(table([[0, byte(code)], [2, int(version)], [3, int(code)]]));
    this.#known.set(name, this.#codes.length - 1);
    return this.#codes.length - 1;
  }
}
