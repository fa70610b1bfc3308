// SPDX-License-Identifier: Apache-2.0

/* Runs on the audio thread: the mean of the channels, in blocks of a size that messages are worth. */

const BLOCK_SAMPLES = 512;

class MicrophoneProcessor extends AudioWorkletProcessor {
  #block = new Float32Array(BLOCK_SAMPLES);
  #filled = 0;

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    // While the source has nothing to give, there are no channels.
    const n = channels.length ? channels[0].length : 0;
    for (let index = 0; index < n; index++) {
      let sum = 0;
      for (const channel of channels) sum += channel[index];
      this.#block[this.#filled++] = sum / channels.length;
      if (this.#filled === BLOCK_SAMPLES) this.#send();
    }
    return true;
  }

  #send() {
    this.port.postMessage(this.#block, [this.#block.buffer]);
    this.#block = new Float32Array(BLOCK_SAMPLES);
    this.#filled = 0;
  }
}

registerProcessor("oido-microphone", MicrophoneProcessor);
