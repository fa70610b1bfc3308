// SPDX-License-Identifier: Apache-2.0

/* The embeddings of clips, by the network of a model that is to be taught: what a new head learns from. */

import { embeddingGraph } from "./head_export.js";
import { NetworkClient } from "./network_client.js";
import { Windowing } from "./windowing.js";

/** @import { WindowSizes } from "../types.js" */

/**
 * Opens the network of a .tflite. Throws an OidoError, ModelFormatError where nothing can be taught to it.
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
export async function openEmbedder(bytes) {
  const { content, model, size } = await embeddingGraph(bytes);
  const network = new NetworkClient();
  try {
    await network.open(model, content, { isGiven: true });
  } catch (error) {
    network.close();
    throw error;
  }
  return new Embedder(network, model.windowing, size);
}

/** Made by `openEmbedder`. */
export class Embedder {
  #network;
  #windowing;
  #size;

  /**
   * @param {NetworkClient} network
   * @param {WindowSizes} sizes
   * @param {number} size of an embedding
   */
  constructor(network, sizes, size) {
    this.#network = network;
    this.#windowing = new Windowing(sizes);
    this.#size = size;
    this.sampleRateHz = sizes.sampleRateHz;
    this.windowSamples = sizes.windowSamples;
  }

  /**
   * The embeddings of a clip's windows, and how much of each is sound.
   * @param {Float32Array} samples at `sampleRateHz`
   */
  async embed(samples) {
    const { hopSamples, windowSamples } = this.#windowing;
    const count = this.#windowing.count(samples.length);
    const [all] = await this.#network.hear(this.#windowing.segment(samples, 0, count));
    const rows = Array.from({ length: count }, (_, n) => all.slice(n * this.#size, (n + 1) * this.#size));
    const weights = rows.map((_, n) => Math.max(0, Math.min(1, (samples.length - n * hopSamples) / windowSamples)));
    return { rows, weights };
  }

  /** That of digital silence. */
  async silence() {
    const { rows } = await this.embed(new Float32Array(this.windowSamples));
    return rows[0];
  }

  close() {
    this.#network.close();
  }
}
