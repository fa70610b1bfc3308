// SPDX-License-Identifier: Apache-2.0

/*
 * A head that was fitted here, behind the network whose embeddings it learnt, in one .tflite: the network's own scores
 * and, beside them, those of the sounds that were taught, under one list of labels. As oido.training.head_export does
 * it in Python, but that there a head of its own stands behind the base's.
 */

import { packedFiles, withoutPacked } from "./archive.js";
import { OidoError } from "./errors.js";
import { decodeUtf8 } from "./flatbuffer.js";
import { float, int } from "./flatbuffer_writer.js";
import { readGraph } from "./graph.js";
import { GraphWriter } from "./graph_writer.js";
import { readMetadata } from "./metadata.js";
import { CALIBRATION_FILE, LABELS_FILE, UNKNOWN_FILE, metadataBytes } from "./metadata_writer.js";
import { readModel } from "./model.js";
import { joined, storedZip } from "./zip_writer.js";

/** @import { LinearHead } from "./head_fit.js" */
/** @import { DenseLayer } from "./graph_writer.js" */
/** @import { OutputFacts } from "./metadata_writer.js" */

const EMBEDDING = "embedding";
const NOTES_FILE = "oido.json";
const INVERSE_LOGISTIC = 2;
const SAME = "1,1,0"; // the calibration that leaves a score as it is, behind an inverse logistic
const COLUMNS = 1; // the axis along which scores stand

/**
 * A model as it is built upon. embedding, scores: the numbers of their tensors. similarity: of a model that tells what is
 * unknown, that tensor, and the layer that compares where a window points with where each class lies; else null.
 * @typedef {{writer: GraphWriter, model: Awaited<ReturnType<typeof readModel>>, embedding: number,
 *   scores: number, similarity: {tensor: number, layer: DenseLayer} | null}} Base
 */

/**
 * A graph that gives the embedding, f32[1, D], and of a model that tells what is unknown also where a window points,
 * f32[1, E]; and what a network client needs of it. sizes: of these outputs.
 * @param {Uint8Array<ArrayBuffer>} bytes of a .tflite
 */
export async function embeddingGraph(bytes) {
  const { writer, model, embedding, similarity } = await opened(bytes);
  const content = writer.finish([writer.flat(embedding), ...(similarity ? [similarity.layer.x] : [])]);
  const outputs = readGraph(content).outputs.map((output, number) => ({ number, ...output }));
  return { content, model: { ...model, outputs, nOutputs: outputs.length }, sizes: outputs.map(({ size }) => size) };
}

/**
 * The .tflite with the scores of the sounds that were taught behind those that it has. The head's last class is what
 * is none of them, and has no label. directions: of each new label, where its examples point (`directionsOf`); what is
 * like them is known to a model that tells what is unknown, beside what it was taught before. name: of the new model.
 * threshold: of each new label. isFramewise: keep the scores of columns where it has them, which this page uses; other
 * libraries may want outputs that are lists.
 * Throws ModelFormatError for a model that nothing can be put behind.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {{head: LinearHead, labels: string[], name: string, threshold: number, directions?: Float32Array[],
 *   isFramewise?: boolean, training?: Record<string, unknown>}} options
 */
export async function taughtModel(bytes, { head, labels, name, threshold, directions = [], isFramewise = true, training = {} }) {
  const { writer, model, embedding, scores, similarity } = await opened(bytes);
  const files = await packedFiles(bytes);
  const graph = readGraph(bytes);
  const metadata = readMetadata(/** @type {Uint8Array} */ (graph.metadata));
  const own = headScores(writer, embedding, head, labels.length);
  const all = [...model.head.labels, ...labels];
  const together = beside(writer, writer.flat(scores), own, [1, all.length]);
  const outputs = [together];
  /** @type {OutputFacts[]} */
  const facts = [];
  /** @type {{name: string, content: Uint8Array}[]} */
  const packed = [];
  /** @type {(file: string, words: string) => void} */
  const pack = (file, words) => packed.push({ name: file, content: new TextEncoder().encode(words) });

  const { name: headName, calibration, scoreThreshold, thresholds } = model.head;
  const of = metadata.outputs[model.head.output];
  const labelsFile = `${headName}_labels.txt`;
  pack(labelsFile, all.join("\n"));
  const listed = [{ name: labelsFile, type: LABELS_FILE }];
  if (calibration) {
    if (calibration.transformation !== INVERSE_LOGISTIC) throw notTaught("its calibration has no place for new labels");
    const words = decodeUtf8(files.get(of.calibrationFile ?? "") ?? new Uint8Array(0));
    const file = `${headName}_calibration.csv`;
    pack(file, [words, ...labels.map(() => SAME)].join("\n"));
    listed.push({ name: file, type: CALIBRATION_FILE });
  }
  const thresholdsFile = `${headName}_thresholds.csv`;
  const newThresholds = labels.map((label) => /** @type {[string, number]} */ ([label, threshold]));
  pack(thresholdsFile, thresholdsText([...thresholds, ...newThresholds]));
  listed.push({ name: thresholdsFile, type: UNKNOWN_FILE });
  const { transformation = 0, defaultScore = 0 } = calibration ?? {};
  const calibrated = calibration && { transformation, defaultScore };
  facts.push({ name: headName, files: listed, calibration: calibrated, scoreThreshold });

  /** @type {(plain: string, tensor: number, size: number) => void} */
  const addPlain = (plain, tensor, size) => {
    outputs.push(tensor);
    pack(`${plain}_numbers.txt`, Array.from({ length: size }, (_, number) => `${plain} ${number}`).join("\n"));
    facts.push({ name: plain, files: [{ name: `${plain}_numbers.txt`, type: LABELS_FILE }] });
  };
  const embeddingAt = metadata.outputs.findIndex((output) => output.name === EMBEDDING);
  if (embeddingAt >= 0) addPlain(EMBEDDING, writer.outputs[embeddingAt], graph.outputs[embeddingAt].size);
  const framewiseAt = model.framewiseAt < 0 ? -1 : model.outputs[model.framewiseAt].number;
  if (isFramewise && framewiseAt >= 0) {
    // Each column with the new scores of the window as a whole.
    const rows = [model.columns, labels.length];
    const zeros = writer.constant(new Float32Array(rows[0] * rows[1]), rows);
    const repeated = writer.add("ADD", [own, zeros], rows);
    const columns = beside(writer, writer.flat(writer.outputs[framewiseAt]), repeated, [model.columns, all.length]);
    addPlain(metadata.outputs[framewiseAt].name, columns, all.length);
  }

  if (similarity) {
    writer.widen(similarity.layer, directions);
    addPlain(metadata.outputs[model.outputs[model.noveltyAt].number].name, similarity.tensor, 1);
  }

  pack(NOTES_FILE, notesText(files, headName, { knowsUnknown: similarity !== null, training }));
  const described = metadataBytes({
    name,
    description: `${model.name}, and taught beside it: ${labels.join(", ")}`,
    author: metadata.author,
    licence: metadata.licence,
    sampleRateHz: model.windowing.sampleRateHz,
    outputs: facts,
    files: [{ name: NOTES_FILE, type: UNKNOWN_FILE }],
  });
  return joined([writer.finish(outputs, described), storedZip(packed)]);
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<Base>}
 */
async function opened(bytes) {
  const model = await readModel(bytes);
  const writer = new GraphWriter(withoutPacked(bytes));
  const scores = writer.outputs[model.head.output];
  const metadata = readMetadata(/** @type {Uint8Array} */ (readGraph(bytes).metadata));
  const listed = metadata.outputs.findIndex(({ name }) => name === EMBEDDING);
  const embedding = listed >= 0 ? writer.outputs[listed] : writer.lastMean(scores);
  if (embedding === null) throw notTaught("it has no embedding that could be learnt from");
  return { writer, model, embedding, scores, similarity: similarityOf(writer, model) };
}

/**
 * @param {GraphWriter} writer
 * @param {Base["model"]} model
 * @returns {Base["similarity"]}
 */
function similarityOf(writer, { noveltyAt, outputs }) {
  if (noveltyAt < 0) return null;
  const tensor = writer.outputs[outputs[noveltyAt].number];
  const layer = writer.lastDense(tensor);
  return layer && { tensor, layer };
}

/** @param {string} why */
const notTaught = (why) => new OidoError("ModelFormatError", `no sound can be taught to it: ${why}`);

/**
 * [1, n]: the scores of all classes but the last.
 * @param {GraphWriter} writer
 * @param {number} embedding
 * @param {LinearHead} head
 * @param {number} n
 */
function headScores(writer, embedding, { weights, bias, squareRoot }, n) {
  const size = weights[0].length;
  let x = writer.flat(embedding);
  if (squareRoot) x = writer.add("SQRT", [writer.add("RELU", [x], [1, size])], [1, size]);
  const rows = new Float32Array(weights.length * size);
  weights.forEach((row, number) => rows.set(row, number * size));
  const layer = [x, writer.constant(rows, [weights.length, size]), writer.constant(bias)];
  const logits = writer.add("FULLY_CONNECTED", layer, [1, weights.length]);
  const scores = writer.add("SOFTMAX", [logits], [1, weights.length], [[0, float(1)]]);
  // A slice would have a fixed number of rows, and oido hears many windows at once.
  const chosen = new Float32Array(n * weights.length);
  for (let label = 0; label < n; label++) chosen[label * weights.length + label] = 1;
  const choice = [writer.constant(chosen, [n, weights.length]), writer.constant(new Float32Array(n))];
  return writer.add("FULLY_CONNECTED", [scores, ...choice], [1, n]);
}

/**
 * @param {GraphWriter} writer
 * @param {number} left
 * @param {number} right
 * @param {number[]} shape
 */
function beside(writer, left, right, shape) {
  return writer.add("CONCATENATION", [left, right], shape, [[0, int(COLUMNS)]]);
}

/** @param {[string, number][]} pairs */
function thresholdsText(pairs) {
  const cell = (/** @type {string} */ label) => (/[",]/.test(label) ? `"${label.replaceAll('"', '""')}"` : label);
  return ["label,threshold", ...pairs.map(([label, value]) => `${cell(label)},${value}`), ""].join("\n");
}

/**
 * The base's own notes, but for what is not there any more.
 * @param {Map<string, Uint8Array>} files
 * @param {string} headName
 * @param {{knowsUnknown: boolean, training: Record<string, unknown>}} facts
 */
function notesText(files, headName, { knowsUnknown, training }) {
  const file = files.get(NOTES_FILE);
  const none = { version: 1, aggregations: {}, hop_samples: null, repeat_pause_samples: null };
  const notes = file ? JSON.parse(decodeUtf8(file)) : none;
  const { kinds = {}, novelty } = notes;
  const known = { novelty: knowsUnknown ? novelty : null, training, kinds: { [headName]: "sigmoid", ...kinds } };
  return JSON.stringify({ ...notes, ...known });
}
