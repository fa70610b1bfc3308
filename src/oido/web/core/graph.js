// SPDX-License-Identifier: Apache-2.0

/*
 * What a .tflite says of its graph: the window that it takes, its outputs, its metadata. Field numbers
 * are those of TensorFlow Lite's schema.fbs.
 */

import { OidoError } from "./errors.js";
import { Table } from "./flatbuffer.js";

const IDENTIFIER = "TFL3";
const METADATA = "TFLITE_METADATA";
const FLOAT32 = 0;

/**
 * outputs: in their order; names: by which a runtime may know each, its tensor's and its signature's.
 * @typedef {{windowSamples: number, inputShape: number[], metadata: Uint8Array|null,
 *   outputs: {size: number, rows: number, names: string[]}[]}} Graph
 */

/**
 * The first subgraph. Throws ModelFormatError; ModelInputError for one that takes something else than a waveform.
 * @param {Uint8Array} bytes
 * @returns {Graph}
 */
export function readGraph(bytes) {
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(4, 8)) !== IDENTIFIER) {
    throw new OidoError("ModelFormatError", "it is no .tflite file");
  }
  try {
    return read(Table.root(bytes));
  } catch (error) {
    if (error instanceof OidoError) throw error;
    throw new OidoError("ModelFormatError", "its graph makes no sense; the file is damaged", { cause: error });
  }
}

/**
 * @param {Table} model
 * @returns {Graph}
 */
function read(model) {
  const [graph] = model.tables(2);
  const tensors = graph.tables(0);
  const inputs = graph.int32s(1).map((number) => tensors[number]);
  const inputShape = inputs.length === 1 ? inputs[0].int32s(0) : [];
  const windowSamples = inputShape.reduce((product, size) => product * size, 1);
  if (inputs.length !== 1 || inputs[0].int8(1) !== FLOAT32 || !(windowSamples > 1)) {
    throw new OidoError("ModelInputError", "it does not take one window of float32 waveform, so it cannot be heard with");
  }
  return {
    windowSamples,
    inputShape,
    outputs: graph.int32s(2).map((number) => ({
      size: tensors[number].int32s(0).at(-1) ?? 1,
      rows: tensors[number].int32s(0)[0] ?? 1,
      names: [tensors[number].text(3), ...signatureNames(model, number)],
    })),
    metadata: metadataOf(model),
  };
}

/**
 * @param {Table} model
 * @param {number} tensor
 */
function signatureNames(model, tensor) {
  const signature = model.tables(7).find((each) => each.uint32(4) === 0);
  return (signature?.tables(1) ?? []).filter((map) => map.uint32(1) === tensor).map((map) => map.text(0));
}

/** @param {Table} model */
function metadataOf(model) {
  const entry = model.tables(6).find((each) => each.text(0) === METADATA);
  return entry === undefined ? null : model.tables(4)[entry.uint32(1)].bytes(0);
}
