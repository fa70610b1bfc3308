// SPDX-License-Identifier: Apache-2.0

/* How much came of what a model needs to run: its own file, and the runtime, which is the larger part. */

/** Where nobody says how long the runtime is. */
const RUNTIME_BYTES = 9.4e6;

const MOST = 0.99; // until the network has run once

export class OpeningProgress {
  #onProgress;
  #modelLength;
  #runtimeLengths;
  #runtimeLength = RUNTIME_BYTES;
  #model = 0;
  #runtime = 0;

  /**
   * modelLength: in bytes, null where it is not known, 0 where nothing is fetched. runtimeLengths: by build.
   * @param {{modelLength: number | null, runtimeLengths: Record<string, number> | null,
   *   onProgress: (share: number) => void}} options
   */
  constructor({ modelLength, runtimeLengths, onProgress }) {
    this.#modelLength = modelLength;
    this.#runtimeLengths = runtimeLengths;
    this.#onProgress = onProgress;
  }

  /**
   * So much of the model came; length: what its server says, 0 where it says nothing.
   * @param {number} bytes
   * @param {number} length
   */
  model(bytes, length) {
    this.#modelLength ??= length || null;
    this.#model = bytes;
    this.#report();
  }

  /**
   * @param {number} bytes
   * @param {string} build
   */
  runtime(bytes, build) {
    this.#runtimeLength = this.#runtimeLengths?.[build] ?? this.#runtimeLength;
    this.#runtime = bytes;
    this.#report();
  }

  #report() {
    // Without its length, the model counts as far as it is here.
    const all = (this.#modelLength ?? this.#model) + this.#runtimeLength;
    this.#onProgress(Math.min(MOST, (this.#model + this.#runtime) / all));
  }
}
