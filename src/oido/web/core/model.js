// SPDX-License-Identifier: Apache-2.0

/* From the bytes of a .tflite to what an engine needs to know of it: read from the file, never assumed. */

import { packedFiles } from "./archive.js";
import { OidoError } from "./errors.js";
import { readGraph } from "./graph.js";
import { isFramewise, readHead, readMetadata, readNotes } from "./metadata.js";
import { DEFAULT_THRESHOLD } from "./thresholds.js";

/** @import { Graph } from "./graph.js" */
/** @import { Head, Notes } from "./metadata.js" */
/** @import { WindowSizes } from "../types.js" */

const STEPS_PER_SECOND = 100; // hops are multiples of 10 ms

/** What the name of a head's framewise output ends in (oido.server.device_model). */
const FRAMEWISE = "_framewise";

/**
 * Reads a model. head: the name of the one that is heard, null for the last. Throws ModelFormatError.
 *
 * windowing: as `Windowing` takes it. head: {name, labels, calibration, thresholds, scoreThreshold}.
 * outputs: what the network has to give: the head's scores, and where there are such, the novelty and the
 * framewise scores, those of so many `columns` of each window, at these places among the outputs, or -1.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {{head?: string|null}} [options]
 */
export async function readModel(bytes, { head: wanted = null } = {}) {
  const graph = readGraph(bytes);
  if (graph.metadata === null) {
    throw new OidoError(
      "ModelFormatError",
      "it has no metadata: labels and sample rate are not known (oido models annotate adds them)",
    );
  }
  const metadata = readMetadata(graph.metadata);
  const audio = metadata.inputs[0];
  if (!audio?.sampleRateHz) {
    throw new OidoError("ModelFormatError", "its metadata give no sample rate, so it is no audio model");
  }
  if (audio.channels !== 1) {
    throw new OidoError("ModelFormatError", `it wants ${audio.channels} channels, and gets one`);
  }
  const files = await packedFiles(bytes);
  const notes = readNotes(files);
  const heads = readHeads(graph, metadata, files);
  const head = heads.findLast((each) => wanted === null || each.name === wanted);
  if (head === undefined) {
    const names = heads.map((each) => each.name).join(", ");
    throw new OidoError("OptionError", `the model has no head "${wanted}", only ${names}`);
  }
  const { novelty } = notes;
  const noveltyOutput = metadata.outputs.findIndex((each) => each.name === novelty?.output);
  const framewise = metadata.outputs.findIndex((each) => each.name === `${head.name}${FRAMEWISE}`);
  const numbers = [head.output, noveltyOutput, framewise].filter((number) => number >= 0);
  return {
    name: metadata.name,
    licence: metadata.licence,
    author: metadata.author,
    heads: heads.map((each) => each.name),
    head,
    aggregation: notes.aggregations?.[head.name] ?? null,
    noveltyThreshold: noveltyOutput < 0 ? null : (novelty?.threshold ?? null),
    windowing: windowingOf(graph, audio.sampleRateHz, notes),
    inputShape: graph.inputShape,
    outputs: numbers.map((number) => ({ number, ...graph.outputs[number] })),
    noveltyAt: noveltyOutput < 0 ? -1 : numbers.indexOf(noveltyOutput),
    framewiseAt: framewise < 0 ? -1 : numbers.indexOf(framewise),
    columns: framewise < 0 ? 0 : graph.outputs[framewise].rows,
    nOutputs: graph.outputs.length,
  };
}

/**
 * The thresholds of a head, one for each label, or null if it has none of its own.
 * @param {Head} head
 */
export function thresholdsOf(head) {
  if (head.thresholds.size === 0) return null;
  return Float32Array.from(head.labels, (label) => head.thresholds.get(label) ?? DEFAULT_THRESHOLD);
}

/**
 * @param {Graph} graph
 * @param {ReturnType<typeof readMetadata>} metadata
 * @param {Map<string, Uint8Array>} files
 * @returns {(Head & {output: number})[]}
 */
function readHeads(graph, metadata, files) {
  /** @type {(Head & {output: number})[]} */
  const heads = [];
  metadata.outputs.slice(0, graph.outputs.length).forEach((tensor, output) => {
    const head = isFramewise(metadata.outputs, output) ? null : readHead(tensor, files);
    if (head === null) return;
    if (head.labels.length !== graph.outputs[output].size) {
      throw new OidoError(
        "ModelFormatError",
        `it has ${graph.outputs[output].size} scores but ${head.labels.length} labels`,
      );
    }
    heads.push({ ...head, output, name: head.name || `output ${output}` });
  });
  if (heads.length === 0) {
    throw new OidoError("ModelFormatError", "the model's metadata name no label file for its scores");
  }
  const isUnique = new Set(heads.map((head) => head.name)).size === heads.length;
  return isUnique ? heads : heads.map((head) => ({ ...head, name: `output ${head.output}` }));
}

/**
 * Windows half a window apart, in steps of 10 ms, unless the file says another hop.
 * @param {Graph} graph
 * @param {number} sampleRateHz
 * @param {Notes} notes
 * @returns {WindowSizes}
 */
function windowingOf({ windowSamples }, sampleRateHz, notes) {
  const step = Math.max(1, Math.floor(sampleRateHz / STEPS_PER_SECOND));
  const hop = Math.max(1, Math.floor(Math.floor(windowSamples / 2) / step)) * step;
  return {
    sampleRateHz,
    windowSamples,
    hopSamples: notes.hopSamples ?? hop,
    repeatPauseSamples: notes.repeatPauseSamples,
  };
}
