// SPDX-License-Identifier: Apache-2.0

/* The side of the page that talks to network_worker.js. */

import { OidoError } from "./errors.js";

/** @import { readModel } from "./model.js" */

/** One network in a worker of its own; calls are answered in their order. */
export class NetworkClient {
  #worker;
  /** @type {Map<number, {resolve: (result: unknown) => void, reject: (error: OidoError) => void}>} */
  #calls = new Map();
  #nextId = 0;
  /** What was heard last: the browser would look for such memory late, in the worker and here. */
  #spare = new Float32Array(0);
  /** @type {OidoError | null} */
  #failure = null;

  /**
   * onFetched: told how much of the runtime came, of which build.
   * @param {{onFetched?: (fetched: {bytes: number, build: string}) => void}} [handlers]
   */
  constructor({ onFetched = () => {} } = {}) {
    this.#worker = new Worker(new URL("./network_worker.js", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => {
      if (data.fetched) onFetched(data.fetched);
      else this.#answer(data);
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail(
        new OidoError(
          "RuntimeError",
          "this browser could not start the network" +
            (event.message ? ` (${event.message})` : ": vendor/ is missing on the server, or the browser is too old"),
        ),
      );
    });
  }

  /**
   * Fetch the runtime, beside whatever else is fetched.
   * @returns {Promise<{build: string}>}
   */
  prepare() {
    return this.#call({ prepare: true });
  }

  /**
   * Compile a model (of `readModel`) of these bytes. isGiven: nobody else has them, so that they are not copied.
   * @param {Pick<Awaited<ReturnType<typeof readModel>>, "inputShape" | "outputs" | "nOutputs" | "windowing">} model
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @param {{isGiven: boolean}} options
   * @returns {Promise<{build: string}>}
   */
  open(model, bytes, { isGiven }) {
    const { inputShape, outputs, nOutputs } = model;
    const { windowSamples, hopSamples } = model.windowing;
    const opening = { bytes, inputShape, windowSamples, hopSamples, outputs, nOutputs };
    return this.#call({ open: opening }, isGiven ? [bytes.buffer] : []);
  }

  /**
   * Memory of n samples, whatever is in it: that of a waveform that was heard, where it fits.
   * @param {number} n
   */
  buffer(n) {
    const spare = this.#spare;
    this.#spare = new Float32Array(0);
    return spare.length === n ? spare : new Float32Array(n);
  }

  /**
   * The outputs of some neighbouring windows; the waveform is given away.
   * @param {Float32Array<ArrayBuffer>} waveform
   * @returns {Promise<Float32Array[]>}
   */
  hear(waveform) {
    return this.#call({ hear: waveform }, [waveform.buffer]);
  }

  close() {
    this.#worker.terminate();
    this.#fail(new OidoError("AbortError", "the model was closed"));
  }

  /**
   * @template T
   * @param {{prepare: true} | {open: object} | {hear: Float32Array}} message
   * @param {Transferable[]} [transfer]
   * @returns {Promise<T>} what network_worker.js says that it answers
   */
  #call(message, transfer = []) {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve: (result) => resolve(/** @type {T} */ (result)), reject });
      this.#worker.postMessage({ id, ...message }, transfer);
    });
  }

  /**
   * @param {{id: number, result?: unknown, spent?: Float32Array<ArrayBuffer> | null,
   *   error?: {kind: string, message: string}}} answer
   */
  #answer({ id, result, spent, error }) {
    if (spent) this.#spare = spent;
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) call?.reject(new OidoError(error.kind, `the network could not run: ${error.message}`));
    else call?.resolve(result);
  }

  /** @param {OidoError} error */
  #fail(error) {
    this.#failure ??= error;
    for (const { reject } of this.#calls.values()) reject(this.#failure);
    this.#calls.clear();
  }
}
