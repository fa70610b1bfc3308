// SPDX-License-Identifier: Apache-2.0

/*
 * The metadata of a .tflite: rate, channels, heads. As oido.models.tflite.metadata reads them; field numbers
 * are those of metadata_schema.fbs.
 */

import { parseSigmoids } from "./calibration.js";
import { OidoError, kindOf, messageOf } from "./errors.js";
import { Table, decodeUtf8 } from "./flatbuffer.js";
import { parseThresholds } from "./thresholds.js";

/** @import { Calibration } from "./calibration.js" */

const IDENTIFIER = "M001";
const AUDIO_PROPERTIES = 4;
const UNKNOWN_FILE = 0;
const LABELS = 2;
const SCORE_CALIBRATION = 4;
const CALIBRATION_OPTIONS = 2;
const THRESHOLDING_OPTIONS = 3;
const FRAMEWISE_PREFIX = "framewise_";
const NOTES_FILE = "oido.json";
const NOTES_VERSION = 1;

/**
 * @typedef {{name: string, sampleRateHz: number|null, channels: number|null, labelFile: string|null,
 *   calibrationFile: string|null, transformation: number, defaultScore: number, scoreThreshold: number|null,
 *   thresholdsFile: string|null}} Tensor
 *
 * thresholds: of label to 0..1.
 * @typedef {{name: string, labels: string[], calibration: Calibration|null, thresholds: Map<string, number>,
 *   scoreThreshold: number|null}} Head
 *
 * @typedef {{aggregations: Record<string, string>|null, hopSamples: number|null, repeatPauseSamples: number|null,
 *   novelty: {output: string, threshold: number}|null}} Notes
 */

/** @type {(message: string, cause?: unknown) => OidoError} */
const formatError = (message, cause) => new OidoError("ModelFormatError", message, { cause });

/**
 * The tensors and texts of a metadata flatbuffer. Throws ModelFormatError.
 * @param {Uint8Array} bytes
 */
export function readMetadata(bytes) {
  if (String.fromCharCode(...bytes.subarray(4, 8)) !== IDENTIFIER) {
    throw formatError("the model's metadata are not in the known format (M001)");
  }
  try {
    const root = Table.root(bytes);
    const [graph] = root.tables(3);
    return {
      name: root.text(0),
      description: root.text(1),
      author: root.text(4),
      licence: root.text(5),
      inputs: graph?.tables(2).map(tensor) ?? [],
      outputs: graph?.tables(3).map(tensor) ?? [],
    };
  } catch (error) {
    throw error instanceof OidoError ? error : formatError("the model's metadata are damaged", error);
  }
}

/**
 * @param {Table} table
 * @returns {Tensor}
 */
function tensor(table) {
  const name = table.text(0);
  const content = table.table(3);
  const audio = content?.uint8(0) === AUDIO_PROPERTIES ? content.table(1) : null;
  // The first of a type counts, as for the Task Library; others are of other languages.
  /** @type {Map<number, string>} */
  const files = new Map();
  let thresholdsFile = null;
  for (const file of table.tables(6)) {
    const [kind, fileName] = [file.int8(2), file.text(0)];
    if (!files.has(kind)) files.set(kind, fileName);
    if (kind === UNKNOWN_FILE && fileName === `${name}_thresholds.csv`) thresholdsFile = fileName;
  }
  const units = table.tables(4);
  /** @type {(kind: number) => Table | null} */
  const unit = (kind) => units.find((each) => each.uint8(0) === kind)?.table(1) ?? null;
  const calibration = unit(CALIBRATION_OPTIONS);
  if (calibration && !files.has(SCORE_CALIBRATION)) {
    throw formatError(`the metadata name no score calibration file for "${name}"`);
  }
  return {
    name,
    sampleRateHz: audio?.uint32(0) || null,
    channels: audio?.uint32(1) || null,
    labelFile: numbersOnly(files.get(LABELS)) ? null : (files.get(LABELS) ?? null),
    calibrationFile: (calibration && files.get(SCORE_CALIBRATION)) ?? null,
    transformation: calibration?.int8(0) ?? 0,
    defaultScore: calibration?.real(1) ?? 0,
    scoreThreshold: unit(THRESHOLDING_OPTIONS)?.real(0) ?? null,
    thresholdsFile,
  };
}

/**
 * Whether a label file only numbers the values of an output, which so has no labels.
 * @param {string | undefined} name
 */
function numbersOnly(name) {
  return name !== undefined && name.endsWith("_numbers.txt");
}

/**
 * Whether an output repeats a head before it, for parts of a window; known by its name.
 * @param {Tensor[]} outputs
 * @param {number} output
 */
export function isFramewise(outputs, output) {
  const { name } = outputs[output];
  const heads = outputs.slice(0, output).filter((each) => each.labelFile !== null);
  if (name === `${FRAMEWISE_PREFIX}scores`) return heads.length > 0;
  return heads.some((head) => name === FRAMEWISE_PREFIX + head.name);
}

/**
 * What is known of an output's scores, of its tensor and the packed files; null if it has no labels.
 * thresholds: Map of label to 0..1. Throws ModelFormatError if a file is missing or damaged.
 * @param {Tensor} output
 * @param {Map<string, Uint8Array>} files
 * @returns {Head | null}
 */
export function readHead(output, files) {
  if (output.labelFile === null) return null;
  const lines = text(files, output.labelFile, "label").split("\n").map((line) => line.replace(/\r$/, ""));
  const labels = lines.at(-1) === "" ? lines.slice(0, -1) : lines;
  try {
    const calibration = output.calibrationFile === null ? null : {
      sigmoids: parseSigmoids(text(files, output.calibrationFile, "score calibration"), labels.length),
      transformation: output.transformation,
      defaultScore: output.defaultScore,
    };
    const thresholds = new Map(
      output.thresholdsFile ? parseThresholds(text(files, output.thresholdsFile, "thresholds")) : [],
    );
    for (const label of thresholds.keys()) {
      if (!labels.includes(label)) throw new OidoError("OptionError", `a threshold, but no label "${label}"`);
    }
    return { name: output.name, labels, calibration, thresholds, scoreThreshold: output.scoreThreshold };
  } catch (error) {
    if (kindOf(error) !== "OptionError") throw error;
    throw formatError(`the model's metadata are damaged: ${messageOf(error)}`, error);
  }
}

/**
 * What oido itself wrote into the file (oido.models.model). Throws ModelFormatError.
 * @param {Map<string, Uint8Array>} files
 * @returns {Notes}
 */
export function readNotes(files) {
  const none = { aggregations: {}, hopSamples: null, repeatPauseSamples: null, novelty: null };
  const file = files.get(NOTES_FILE);
  if (file === undefined) return none;
  let values;
  try {
    values = JSON.parse(decodeUtf8(file));
  } catch (error) {
    throw formatError(`${NOTES_FILE} in the model is damaged (${messageOf(error)})`, error);
  }
  if (values?.version !== NOTES_VERSION) throw formatError(`${NOTES_FILE} is of a newer oido; update this page`);
  const samples = [values.hop_samples, values.repeat_pause_samples];
  if (!samples.every((value) => value === null || (Number.isInteger(value) && value > 0))) {
    throw formatError(`${NOTES_FILE} in the model is damaged (samples ${samples})`);
  }
  return {
    aggregations: values.aggregations,
    hopSamples: samples[0],
    repeatPauseSamples: samples[1],
    novelty: values.novelty,
  };
}

/**
 * @param {Map<string, Uint8Array>} files
 * @param {string} name
 * @param {string} kind
 */
function text(files, name, kind) {
  const file = files.get(name);
  if (file === undefined) throw formatError(`the model's ${kind} file ${name} is not packed in it`);
  try {
    return decodeUtf8(file);
  } catch (error) {
    throw formatError(`the model's ${kind} file ${name} is not UTF-8 text`, error);
  }
}
