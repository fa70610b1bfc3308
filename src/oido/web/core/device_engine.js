// SPDX-License-Identifier: Apache-2.0

/* A model that hears in this browser: no sample of audio leaves the device. */

import { Calibrator } from "./calibration.js";
import { counted } from "./counted.js";
import { OidoError, messageOf, throwIfAborted } from "./errors.js";
import { LiveStream } from "./live_stream.js";
import { readModel, thresholdsOf } from "./model.js";
import { NetworkClient } from "./network_client.js";
import { alone } from "./once.js";
import { OpeningProgress } from "./opening_progress.js";
import { keepModel } from "./register.js";
import { Segments } from "./segments.js";
import { Windowing } from "./windowing.js";

/** @import { Kinship } from "./choice.js" */
/** @import { EngineInfo, HearOptions, Samples, Stream, StreamHandlers, WindowScores } from "../types.js" */

const WINDOWS_AT_ONCE = 16;

/**
 * @typedef {Awaited<ReturnType<typeof readModel>>} DeviceModel
 *
 * @typedef {EngineInfo & {scoreThreshold: number|null, aggregation: string|null,
 *   head: string, heads: string[], licence: string, build: string}} DeviceInfo
 *
 * @typedef {{modelUrl?: string|null, modelBytes?: ArrayBuffer|Uint8Array<ArrayBuffer>|null, name?: string|null,
 *   head?: string|null, imageSamples?: number|null, kinship?: Kinship|null,
 *   displayNames?: Map<string, string>|Record<string, string>|null,
 *   modelLength?: number|null, runtimeLengths?: Record<string, number>|null,
 *   onProgress?: (share: number) => void}} OpenOptions
 */

/**
 * Opens a model. modelUrl: where it is, or else modelBytes: the file. name: what to
 * call it, null for the name in its metadata. head: which head is heard, null for the last.
 * imageSamples, kinship: as the page's list describes the model; without, windows are heard as wholes, and labels
 * by themselves. displayNames: Map or object of label to what is shown for it. modelLength, runtimeLengths (by
 * build): bytes of what is fetched, where they are known. onProgress: of fetching all of it, 0..1.
 *
 * Throws an OidoError, in one sentence, for a model that cannot be fetched, read or run.
 * @param {OpenOptions} options
 */
export async function openDevice({
  modelUrl = null,
  modelBytes = null,
  name = null,
  head = null,
  imageSamples = null,
  kinship = null,
  displayNames = null,
  modelLength = null,
  runtimeLengths = null,
  onProgress = () => {},
}) {
  const progress = new OpeningProgress({ modelLength: modelUrl === null ? 0 : modelLength, runtimeLengths, onProgress });
  // A model that is here is read first: one that cannot be heard by needs no runtime.
  const here = modelUrl === null ? new Uint8Array(modelBytes ?? []) : null;
  const known = here && (await readModel(here, { head }));
  const network = new NetworkClient({ onFetched: ({ bytes, build }) => progress.runtime(bytes, build) });
  try {
    const preparing = network.prepare();
    preparing.catch(() => {}); // `open` says it, too
    const bytes = here ?? (await alone(modelUrl ?? "", () => fetched(modelUrl ?? "", progress)));
    const model = known ?? (await readModel(bytes, { head }));
    const { build } = await network.open(model, bytes, { isGiven: here === null });
    onProgress(1);
    if (modelUrl !== null) keepModel(modelUrl).catch(() => {}); // for the next time, offline
    return new DeviceEngine(model, network, infoOf(model, { name, imageSamples, kinship, displayNames, build }));
  } catch (error) {
    network.close();
    throw error;
  }
}

/** Made by `openDevice`. */
class DeviceEngine {
  #model;
  #network;
  #windowing;

  /**
   * @param {DeviceModel} model
   * @param {NetworkClient} network
   * @param {DeviceInfo} info
   */
  constructor(model, network, info) {
    this.#model = model;
    this.#network = network;
    this.#windowing = new Windowing(model.windowing);
    this.info = info;
    /** A `Calibrator`, or null. */
    this.calibrator = model.head.calibration ? new Calibrator(model.head.calibration) : null;
  }

  /**
   * Hears a whole recording, mono Float32Array at `info.sampleRateHz`, or the pieces of one as they are decoded.
   * signal: an AbortSignal. onProgress: told the share that was heard, 0..1, where all samples are here.
   * onWindow: told each window as soon as it was heard; then no list of them is kept.
   * @param {Samples | null} samples null: the browser could not decode them
   * @param {HearOptions} [options]
   * @returns {Promise<WindowScores[]>}
   */
  async hear(samples, { signal = null, onProgress = () => {}, onWindow = null } = {}) {
    if (samples === null) throw new OidoError("UnknownFormatError", "there are no samples to run the model on");
    const count = samples instanceof Float32Array ? this.#windowing.count(samples.length) : 0;
    /** @type {WindowScores[]} */
    const windows = [];
    const buffer = (/** @type {number} */ n) => this.#network.buffer(n);
    for await (const { waveform, first, n } of new Segments(this.#windowing, WINDOWS_AT_ONCE, buffer).of(samples)) {
      throwIfAborted(signal);
      const outputs = await this.#network.hear(waveform);
      throwIfAborted(signal);
      for (let row = 0; row < n; row++) {
        const window = this.#window(first + row, outputs, row);
        if (onWindow) onWindow(window);
        else windows.push(window);
      }
      if (count) onProgress((first + n) / count);
    }
    throwIfAborted(signal);
    return windows;
  }

  /**
   * Hears sound as it comes: `push(Float32Array)`, and `end()`, a promise of {nSamples, nWindows}.
   * onWindow: told each window. onState: told {dropped, behindSeconds, hopSamples} when one changes.
   * @param {StreamHandlers} handlers
   * @returns {Stream}
   */
  stream({ onWindow, onState = () => {} }) {
    return new LiveStream({
      windowing: this.#windowing,
      hear: (waveform) => this.#network.hear(waveform),
      onWindow: (index, outputs) => onWindow(this.#window(index, outputs, 0)),
      onState,
    });
  }

  /** The columns that its file has, also where `info` makes no use of them. */
  get ownColumns() {
    return this.#model.columns;
  }

  /** Ends the worker; what is under way is given up. */
  close() {
    this.#network.close();
  }

  /**
   * @param {number} index
   * @param {Float32Array[]} outputs
   * @param {number} row
   * @returns {WindowScores}
   */
  #window(index, outputs, row) {
    const size = this.#model.outputs[0].size;
    const scores = outputs[0].subarray(row * size, (row + 1) * size); // nobody writes into outputs
    const [startTime, endTime] = this.#windowing.times(index);
    const probabilities = this.calibrator?.apply(scores) ?? null;
    const novelty = outputs[this.#model.noveltyAt]?.[row] ?? null;
    return { index, startTime, endTime, scores, probabilities, novelty, columns: this.#columns(outputs, row) };
  }

  /**
   * The scores of a window's columns, each Float32Array(C); null where there are none.
   * @param {Float32Array[]} outputs
   * @param {number} row
   */
  #columns(outputs, row) {
    const { columns } = this.info;
    if (!columns) return null;
    const framewise = outputs[this.#model.framewiseAt];
    const size = this.#model.outputs[0].size;
    return Array.from({ length: columns }, (_, column) => {
      const start = (row * columns + column) * size;
      return framewise.subarray(start, start + size);
    });
  }
}

/**
 * @param {DeviceModel} model
 * @param {Pick<OpenOptions, "name" | "imageSamples" | "kinship" | "displayNames"> & {build: string}} options
 * @returns {DeviceInfo}
 */
function infoOf(model, { name, imageSamples, kinship, displayNames, build }) {
  const { labels } = model.head;
  const shown = displayNames instanceof Map ? displayNames : new Map(Object.entries(displayNames ?? {}));
  return {
    name: name ?? model.name,
    labels,
    displayNames: labels.map((label) => shown.get(label) ?? label),
    sampleRateHz: model.windowing.sampleRateHz,
    windowSamples: model.windowing.windowSamples,
    hopSamples: model.windowing.hopSamples,
    calibrated: model.head.calibration !== null,
    thresholds: thresholdsOf(model.head),
    scoreThreshold: model.head.scoreThreshold,
    aggregation: model.aggregation,
    // A base model that was kept knows what it always knew.
    leastSimilarity: model.head.name === model.heads.at(-1) ? model.noveltyThreshold : null,
    columns: imageSamples ? model.columns : 0,
    imageSamples: imageSamples ?? model.windowing.windowSamples,
    kinship: kinship ?? null,
    head: model.head.name,
    heads: model.heads,
    licence: model.licence,
    build,
  };
}

/**
 * @param {string} url
 * @param {OpeningProgress} progress
 */
async function fetched(url, progress) {
  try {
    const response = await fetch(url);
    // Of what came compressed this is another length than that of the bytes here.
    const length = response.headers.has("Content-Encoding") ? 0 : Number(response.headers.get("Content-Length"));
    const body = counted(response, (bytes) => progress.model(bytes, length));
    return new Uint8Array(await new Response(body).arrayBuffer());
  } catch (error) {
    throw new OidoError("ModelFetchError", `the model ${url} could not be fetched (${messageOf(error)})`, {
      cause: error,
    });
  }
}
