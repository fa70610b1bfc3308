// SPDX-License-Identifier: Apache-2.0

import { wavFile } from "./wav.js";

/** Plays a session's sound: the file itself where the browser can, else its samples. */
export class Player {
  #element;
  #onTime;
  #onChange;
  #session = null;
  #address = null;
  #offset = 0; // seconds of the session where the element's sound starts
  #upTo = -1; // samples of the session that the element has
  #until = Infinity;

  /** onTime(seconds): while it plays; onChange(isPlaying). */
  constructor(element, { onTime, onChange }) {
    this.#element = element;
    this.#onTime = onTime;
    this.#onChange = onChange;
    element.addEventListener("play", () => {
      onChange(true);
      requestAnimationFrame(() => this.#tick());
    });
    element.addEventListener("pause", () => onChange(false));
    element.addEventListener("ended", () => onChange(false));
  }

  get isPlaying() {
    return !this.#element.paused && !this.#element.ended;
  }

  get canPlay() {
    return this.#session?.audio != null;
  }

  /** The session that is played from now on, or null. */
  load(session) {
    this.pause();
    this.#session = session;
    this.#drop();
  }

  /** Plays from a time of the session, up to another. */
  async play(from, until = Infinity) {
    if (!this.canPlay) return;
    this.#prepare();
    this.#until = until;
    try {
      await this.#start(from);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (this.#session.file === null) throw error;
      // The browser can decode it, but not play it: then its samples.
      this.#session.file = null;
      this.#drop();
      this.#prepare();
      await this.#start(from);
    }
  }

  pause() {
    this.#element.pause();
  }

  async #start(from) {
    const element = this.#element;
    element.currentTime = Math.max(0, from - this.#offset);
    await element.play();
  }

  #prepare() {
    const { file, audio } = this.#session;
    if (this.#address !== null && this.#upTo === audio.nSamples) return;
    this.#drop();
    this.#offset = file ? 0 : audio.first / audio.sampleRateHz;
    this.#upTo = audio.nSamples;
    this.#address = URL.createObjectURL(file ?? wavFile(audio.pieces(), audio.sampleRateHz, "sound.wav"));
    this.#element.src = this.#address;
  }

  #drop() {
    if (this.#address === null) return;
    URL.revokeObjectURL(this.#address);
    this.#address = null;
    this.#element.removeAttribute("src");
    this.#element.load();
  }

  #tick() {
    const time = this.#element.currentTime + this.#offset;
    this.#onTime(Math.min(time, this.#until));
    if (time >= this.#until) this.pause();
    if (this.isPlaying) requestAnimationFrame(() => this.#tick());
  }
}
