// SPDX-License-Identifier: Apache-2.0

import { wavFile } from "../core/wav.js";
import { allPieces } from "./recent.js";

/** @import { Sound } from "../types.js" */
/** @import { Session } from "./session.js" */

/** Plays a session's sound: the file itself where the browser can, else its samples. */
export class Player {
  #element;
  #onTime;
  /** @type {Session | null} */
  #session = null;
  /** @type {string | null} */
  #address = null;
  #offset = 0; // seconds of the session where the element's sound starts
  #upTo = -1; // samples of the session that the element has
  #until = Infinity;

  /**
   * onTime(seconds): while it plays; onChange(isPlaying).
   * @param {HTMLAudioElement} element
   * @param {{onTime: (seconds: number) => void, onChange: (isPlaying: boolean) => void}} handlers
   */
  constructor(element, { onTime, onChange }) {
    this.#element = element;
    this.#onTime = onTime;
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

  /**
   * The session that is played from now on, or null.
   * @param {Session | null} session
   */
  load(session) {
    this.pause();
    this.#session = session;
    this.#drop();
  }

  /**
   * Plays from a time of the session, up to another.
   * @param {number} from
   * @param {number} [until]
   */
  async play(from, until = Infinity) {
    const session = this.#session;
    if (!session?.audio) return;
    if (!(await this.#prepare(session.audio, session.file))) return;
    this.#until = until;
    try {
      await this.#start(from);
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      if (session.file === null) throw error;
      // The browser can decode it, but not play it: then its samples.
      session.file = null;
      this.#drop();
      if (await this.#prepare(session.audio, null)) await this.#start(from);
    }
  }

  pause() {
    this.#element.pause();
  }

  /** @param {number} from */
  async #start(from) {
    const element = this.#element;
    element.currentTime = Math.max(0, from - this.#offset);
    await element.play();
  }

  /**
   * Gives the element its sound; false: another session was loaded meanwhile.
   * @param {Sound} audio
   * @param {File | null} file
   */
  async #prepare(audio, file) {
    if (this.#address !== null && this.#upTo === audio.nSamples) return true;
    const { first, nSamples, sampleRateHz } = audio;
    const sound = file ?? wavFile(await allPieces(audio), sampleRateHz, "sound.wav");
    if (this.#session?.audio !== audio) return false;
    this.#drop();
    this.#offset = file ? 0 : first / sampleRateHz;
    this.#upTo = nSamples;
    this.#address = URL.createObjectURL(sound);
    this.#element.src = this.#address;
    return true;
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
