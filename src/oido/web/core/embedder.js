// SPDX-License-Identifier: Apache-2.0

/* The embeddings of clips, by the network of a model that is to be taught: what a new head learns from. */

import { embeddingGraph } from "./head_export.js";
import { NetworkClient } from "./network_client.js";
import { quietWaveforms } from "./quiet.js";
import { Windowing } from "./windowing.js";

/** @import { WindowSizes } from "../types.js" */

/**
 * Opens the network of a .tflite. Throws an OidoError, ModelFormatError where nothing can be taught to it.
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
export async function openEmbedder(bytes) {
  const { content, model, sizes } = await embeddingGraph(bytes);
  const network = new NetworkClient();
  try {
    await network.open(model, content, { isGiven: true });
  } catch (error) {
    network.close();
    throw error;
  }
  return new Embedder(network, model.windowing, sizes);
}

/** Made by `openEmbedder`. */
export class Embedder {
  #network;
  #windowing;
  #sizes;

  /**
   * @param {NetworkClient} network
   * @param {WindowSizes} windows
   * @param {number[]} sizes of an embedding and, of a model that tells what is unknown, of a direction
   */
  constructor(network, windows, sizes) {
    this.#network = network;
    this.#windowing = new Windowing(windows);
    this.#sizes = sizes;
    this.sampleRateHz = windows.sampleRateHz;
    this.windowSamples = windows.windowSamples;
  }

  /**
   * The embeddings of a clip's windows, where these point (null of a model that tells of nothing that it is unknown),
   * and how much of each is sound.
   * @param {Float32Array} samples at `sampleRateHz`
   */
  async embed(samples) {
    const { hopSamples, windowSamples } = this.#windowing;
    const count = this.#windowing.count(samples.length);
    const outputs = await this.#network.hear(this.#windowing.segment(samples, 0, count));
    const [rows, directions = null] = outputs.map((all, output) => {
      const size = this.#sizes[output];
      return Array.from({ length: count }, (_, n) => all.slice(n * size, (n + 1) * size));
    });
    const weights = rows.map((_, n) => Math.max(0, Math.min(1, (samples.length - n * hopSamples) / windowSamples)));
    return { rows, directions, weights };
  }

  /** Whether `embed` gives directions. */
  get tellsUnknown() {
    return this.#sizes.length > 1;
  }

  /** The embeddings of windows in which nothing is heard: digital silence first, then faint noise. */
  async quiet() {
    const rows = [];
    for (const waveform of quietWaveforms(this.windowSamples, this.sampleRateHz)) {
      rows.push((await this.embed(waveform)).rows[0]);
    }
    return rows;
  }

  close() {
    this.#network.close();
  }
}
