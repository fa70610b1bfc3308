// SPDX-License-Identifier: Apache-2.0

/* A model that hears in this browser: no sample of audio leaves the device. */

import { Calibrator } from "./calibration.js";
import { OidoError, throwIfAborted } from "./errors.js";
import { LiveStream } from "./live_stream.js";
import { readModel, thresholdsOf } from "./model.js";
import { NetworkClient } from "./network_client.js";
import { keepModel } from "./register.js";
import { Windowing } from "./windowing.js";

const WINDOWS_AT_ONCE = 16;

/**
 * Opens a model. modelUrl: where it is, or modelBytes: an ArrayBuffer or Uint8Array of it. name: what to
 * call it, null for the name in its metadata. head: which head is heard, null for the last.
 * displayNames: Map or object of label to what is shown for it. onProgress: of fetching, 0..1.
 *
 * Throws an OidoError, in one sentence, for a model that cannot be fetched, read or run.
 */
export async function openDevice({
  modelUrl = null,
  modelBytes = null,
  name = null,
  head = null,
  displayNames = null,
  onProgress = () => {},
}) {
  const bytes = modelBytes === null ? await fetched(modelUrl, onProgress) : new Uint8Array(modelBytes);
  const model = await readModel(bytes, { head });
  const network = new NetworkClient();
  try {
    const { build } = await network.open(model, bytes);
    onProgress(1);
    if (modelBytes === null) keepModel(modelUrl).catch(() => {}); // for the next time, offline
    return new DeviceEngine(model, network, infoOf(model, name, displayNames, build));
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

  constructor(model, network, info) {
    this.#model = model;
    this.#network = network;
    this.#windowing = new Windowing(model.windowing);
    this.info = info;
    /** A `Calibrator`, or null. */
    this.calibrator = model.head.calibration ? new Calibrator(model.head.calibration) : null;
  }

  /**
   * Hears a whole recording, mono Float32Array at `info.sampleRateHz`.
   * signal: an AbortSignal. onProgress: told the share that was heard, 0..1.
   * @returns {Promise<{index: number, startTime: number, endTime: number, scores: Float32Array,
   *   probabilities: Float32Array|null, novelty: number|null}[]>}
   */
  async hear(samples, { signal = null, onProgress = () => {} } = {}) {
    const count = this.#windowing.count(samples.length);
    const windows = [];
    while (windows.length < count) {
      throwIfAborted(signal);
      const first = windows.length;
      const n = Math.min(WINDOWS_AT_ONCE, count - first);
      const outputs = await this.#network.hear(this.#windowing.segment(samples, first, n));
      for (let row = 0; row < n; row++) windows.push(this.#window(first + row, outputs, row));
      onProgress(windows.length / count);
    }
    throwIfAborted(signal);
    return windows;
  }

  /**
   * Hears sound as it comes: `push(Float32Array)`, and `end()`, a promise of {nSamples, nWindows}.
   * onWindow: told each window. onState: told {dropped, behindSeconds, hopSamples} when one changes.
   */
  stream({ onWindow, onState = () => {} }) {
    return new LiveStream({
      windowing: this.#windowing,
      hear: (waveform) => this.#network.hear(waveform),
      onWindow: (index, outputs) => onWindow(this.#window(index, outputs, 0)),
      onState,
    });
  }

  /** Ends the worker; what is under way is given up. */
  close() {
    this.#network.close();
  }

  #window(index, outputs, row) {
    const size = this.#model.outputs[0].size;
    const scores = outputs[0].slice(row * size, (row + 1) * size);
    const [startTime, endTime] = this.#windowing.times(index);
    const probabilities = this.calibrator?.apply(scores) ?? null;
    return { index, startTime, endTime, scores, probabilities, novelty: outputs[1]?.[row] ?? null };
  }
}

function infoOf(model, name, displayNames, build) {
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
    noveltyThreshold: model.noveltyThreshold,
    head: model.head.name,
    heads: model.heads,
    licence: model.licence,
    build,
  };
}

async function fetched(url, onProgress) {
  let response;
  try {
    response = await fetch(url);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const total = Number(response.headers.get("Content-Length"));
    const pieces = [];
    let received = 0;
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      received += value.length;
      if (total > 0) onProgress(Math.min(0.99, received / total));
    }
    return new Uint8Array(await new Blob(pieces).arrayBuffer());
  } catch (error) {
    throw new OidoError("ModelFetchError", `the model ${url} could not be fetched (${error.message})`, {
      cause: error,
    });
  }
}
