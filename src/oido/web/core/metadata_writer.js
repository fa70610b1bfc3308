// SPDX-License-Identifier: Apache-2.0

/*
 * The metadata of a .tflite, written: the counterpart of metadata.js, as oido.models.tflite.metadata_writer writes
 * them; field numbers are those of metadata_schema.fbs.
 */

import { byte, float, flatbuffer, int, list, table, text } from "./flatbuffer_writer.js";

/** @import { Node, Scalar } from "./flatbuffer_writer.js" */

const IDENTIFIER = "M001";
const PARSER_VERSION = "1.3.0"; // of the schema, that brought the properties of audio
const FEATURES = 1;
const AUDIO = 4;
const CALIBRATION = 2;
const THRESHOLDING = 3;

/** Types of a packed file. */
export const UNKNOWN_FILE = 0;
export const LABELS_FILE = 2;
export const CALIBRATION_FILE = 4;

/**
 * A packed file, by its name and type.
 * @typedef {{name: string, type: number}} PackedFile
 *
 * @typedef {{name: string, files: PackedFile[], calibration?: {transformation: number, defaultScore: number} | null,
 *   scoreThreshold?: number | null}} OutputFacts
 */

/**
 * files: those that are of no output.
 * @param {{name: string, description: string, author: string, licence: string, sampleRateHz: number,
 *   outputs: OutputFacts[], files: PackedFile[]}} facts
 */
export function metadataBytes({ name, description, author, licence, sampleRateHz, outputs, files }) {
  const audio = table([[0, int(sampleRateHz)], [1, int(1)]]);
  const waveform = table([[0, text("audio_clip")], [3, union(AUDIO, audio)]]);
  const graph = table([[2, list([waveform])], [3, list(outputs.map(outputTable))]]);
  const root = table([
    [0, text(name)],
    [1, text(description)],
    [3, list([graph])],
    [4, text(author)],
    [5, text(licence)],
    [6, list(files.map(fileTable))],
    [7, text(PARSER_VERSION)],
  ]);
  return flatbuffer(root, IDENTIFIER);
}

/** @param {OutputFacts} output */
function outputTable({ name, files, calibration = null, scoreThreshold = null }) {
  /** @type {Node[]} */
  const units = [];
  if (calibration) {
    const { transformation, defaultScore } = calibration;
    units.push(union(CALIBRATION, table([[0, byte(transformation)], [1, float(defaultScore)]])));
  }
  if (scoreThreshold !== null) units.push(union(THRESHOLDING, table([[0, float(scoreThreshold)]])));
  /** @type {[number, Scalar | Node][]} */
  const fields = [[0, text(name)], [3, union(FEATURES, table([]))], [6, list(files.map(fileTable))]];
  if (units.length) fields.push([4, list(units)]);
  return table(fields);
}

/** @type {(type: number, value: Node) => Node} */
const union = (type, value) => table([[0, byte(type)], [1, value]]);

/** @param {PackedFile} file */
const fileTable = ({ name, type }) => table([[0, text(name)], [2, byte(type)]]);
