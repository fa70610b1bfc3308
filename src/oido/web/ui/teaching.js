// SPDX-License-Identifier: Apache-2.0

/*
 * Teaching a sound: the network whose embeddings are learnt, the microphone that gives examples, and the head that is
 * fitted to them. Everything stays on this device.
 */

import { OidoError } from "../core/errors.js";
import { openMicrophone } from "../core/microphone.js";
import { Resampler } from "../core/resampler.js";
import { wavFile } from "../core/wav.js";
import { TAUGHT_MODEL } from "./own_models.js";
import { Examples, MOST_SECONDS, Recorder, momentsOutside } from "./taught_examples.js";
import { labelledFiles } from "./exports.js";

/** @import { Embedder } from "../core/embedder.js" */
/** @import { LearntClip } from "../core/head_fit.js" */
/** @import { Judgement } from "../core/head_judge.js" */
/** @import { Microphone } from "../core/microphone.js" */
/** @import { SoundEvent } from "../types.js" */
/** @import { Session } from "./session.js" */
/** @import { Machine } from "./states.js" */

/** What only those need who teach. */
async function loadCore() {
  const modules = await Promise.all([
    import("../core/embedder.js"),
    import("../core/head_export.js"),
    import("../core/head_fit.js"),
    import("../core/head_judge.js"),
    import("../core/novelty.js"),
    import("../core/zip_writer.js"),
  ]);
  const [{ openEmbedder }, { taughtModel }, { fitHead }, { TAUGHT_THRESHOLD, judgeHead }, ...rest] = modules;
  const [{ directionsOf }, { storedZip }] = rest;
  return { openEmbedder, taughtModel, fitHead, TAUGHT_THRESHOLD, judgeHead, directionsOf, storedZip };
}

/** @typedef {Awaited<ReturnType<typeof loadCore>>} Core */

/**
 * What is open while it is taught.
 * @typedef {{name: string, key: string, bytes: Uint8Array<ArrayBuffer>, embedder: Embedder, quiet: Float32Array[],
 *   core: Core}} Base
 */

const OTHER = "other"; // what `oido train` takes for no event
const MOMENTS = 5; // that an event of a recording brings with it

/**
 * base: the model that is taught to, by its name, and its file, whose key no other has. changed: there are other
 * examples, or they were judged. notKept: this browser keeps no examples. level: of the microphone, 0..1.
 * @typedef {{base: () => Promise<{name: string, key: string, bytes: Uint8Array<ArrayBuffer>}>, changed: () => void,
 *   failed: (error: unknown) => void, notKept: () => void, level: (level: number) => void}} Handlers
 */

export class Teaching {
  #machine;
  #on;
  #examples = new Examples();
  /** @type {Base | null} */
  #base = null;
  /** @type {Microphone | null} */
  #microphone = null;
  /** @type {Recorder | null} */
  #recorder = null;
  #label = "";
  /** Steps one after the other. @type {Promise<unknown>} */
  #queue = Promise.resolve();
  #nChanges = 0;
  /** Each time that it is opened or closed it is another one. */
  #visit = 0;
  /** @type {Judgement | null} */
  #judgement = null;
  /** How long the last fit took. */
  fitMilliseconds = 0;

  /**
   * @param {Machine} machine
   * @param {Handlers} on
   */
  constructor(machine, on) {
    this.#machine = machine;
    this.#on = on;
  }

  get state() {
    return this.#machine.teaching;
  }

  get labels() {
    return this.#examples.labels;
  }

  /** @param {string | null} label */
  count(label) {
    return this.#examples.of(label).length;
  }

  get canFit() {
    return this.labels.length > 0 && this.count(null) > 0;
  }

  /** null: not known, or not yet. */
  get judgement() {
    return this.#judgement;
  }

  /** Opens the network, and the examples of an earlier visit. */
  async open() {
    this.#machine.send("teaching", "teach");
    this.#visit += 1;
    const visit = this.#visit;
    /** @type {Embedder | null} */
    let embedder = null;
    try {
      const [core, base] = await Promise.all([loadCore(), this.#on.base()]);
      embedder = await core.openEmbedder(base.bytes);
      const quiet = await embedder.quiet();
      await this.#examples.load(embedder, base.key);
      if (visit === this.#visit) this.#base = { ...base, embedder, quiet, core };
      else embedder.close(); // it was closed meanwhile
    } catch (error) {
      embedder?.close();
      if (visit !== this.#visit) return;
      this.close();
      this.#on.failed(error);
    }
    if (visit !== this.#visit) return;
    this.#machine.send("teaching", "opened");
    this.#changed();
  }

  close() {
    this.#visit += 1;
    this.#closeMicrophone();
    this.#base?.embedder.close();
    this.#base = null;
    this.#nChanges += 1;
    if (this.#machine.can("teaching", "end")) this.#machine.send("teaching", "end");
  }

  /**
   * Opens the microphone; "" is the browser's choice.
   * @param {string} deviceId
   */
  async arm(deviceId) {
    const base = this.#base;
    if (base === null) return;
    this.#machine.send("teaching", "arm");
    const { embedder } = base;
    this.#recorder = new Recorder(embedder, {
      onExample: (samples) => {
        if (this.#machine.can("teaching", "release")) this.#machine.send("teaching", "release");
        this.#add(this.#label, samples);
      },
      onOther: (samples) => this.#add(null, samples),
    });
    try {
      const microphone = await openMicrophone({
        sampleRateHz: embedder.sampleRateHz,
        deviceId: deviceId || null,
        onSamples: (samples) => {
          this.#recorder?.push(samples);
          this.#on.level(this.#microphone?.level ?? 0);
        },
        onEnded: () => {
          this.disarm();
          this.#on.failed(new OidoError("MicrophoneError", "the microphone went away"));
        },
      });
      if (this.state !== "arming") {
        await microphone.close();
        return;
      }
      this.#microphone = microphone;
      this.#machine.send("teaching", "armed");
    } catch (error) {
      if (this.#machine.can("teaching", "disarm")) this.#machine.send("teaching", "disarm");
      this.#on.failed(error);
    }
  }

  disarm() {
    this.#closeMicrophone();
    if (this.#machine.can("teaching", "disarm")) this.#machine.send("teaching", "disarm");
  }

  /**
   * An example of this sound comes, until `release`.
   * @param {string} label
   */
  hold(label) {
    if (!this.#machine.can("teaching", "hold")) return;
    this.#label = label;
    this.#recorder?.hold();
    this.#machine.send("teaching", "hold");
  }

  release() {
    if (this.state === "recording") this.#recorder?.release();
  }

  /**
   * An event of what was heard is an example of this sound; what is heard beside it is none. Gives whether its sound is
   * here. Throws where its file cannot be read any more.
   * @param {Session} session
   * @param {SoundEvent} event
   * @param {string} label
   */
  async addEvent({ audio, events }, event, label) {
    const base = this.#base;
    if (base === null || audio === null) return false;
    const rate = audio.sampleRateHz;
    const { embedder } = base;
    const soundAt = async (/** @type {number} */ start, /** @type {number} */ length) => {
      const samples = await audio.read(start, length);
      if (samples === null) return null;
      return rate === embedder.sampleRateHz ? samples : new Resampler(rate, embedder.sampleRateHz).push(samples);
    };
    const start = Math.round(event.startTime * rate);
    const shortest = Math.ceil((embedder.windowSamples / embedder.sampleRateHz) * rate);
    const length = Math.min(Math.max(Math.round(event.endTime * rate) - start, shortest), MOST_SECONDS * rate);
    if (start >= audio.nSamples) return false;
    const samples = await soundAt(start, Math.min(length, audio.nSamples - start));
    if (samples === null) return false;
    this.#add(label, samples);
    const same = events.filter((each) => each.label === event.label || each.label === label);
    const spans = same.map((each) => /** @type {[number, number]} */ ([each.startTime, each.endTime]));
    const { first, nSamples } = audio;
    const sizes = { sampleRateHz: rate, windowSamples: shortest, first, nSamples, spans, most: MOMENTS };
    for (const moment of momentsOutside(sizes)) {
      const sound = await soundAt(moment, shortest);
      if (sound?.some((sample) => sample !== 0)) this.#add(null, sound);
    }
    return true;
  }

  /** @param {string} label */
  undo(label) {
    const last = this.#examples.of(label).at(-1);
    if (last) this.#examples.remove(last);
    this.#changed();
  }

  /**
   * Gives what brings it back.
   * @param {string} label
   */
  removeSound(label) {
    const undo = this.#examples.removeSound(label);
    this.#changed();
    return () => {
      undo();
      this.#changed();
    };
  }

  /**
   * The model with these sounds beside its own.
   * @param {{isFramewise: boolean}} options
   */
  async model({ isFramewise }) {
    const base = this.#base;
    if (base === null || !this.canFit || !this.#machine.can("teaching", "build")) {
      throw new OidoError("OptionError", "there is nothing to learn from");
    }
    this.#closeMicrophone();
    this.#machine.send("teaching", "build");
    try {
      await this.#queue;
      const { labels } = this;
      const { directionsOf, fitHead, taughtModel, TAUGHT_THRESHOLD } = base.core;
      const { clips } = this.#examples;
      const began = performance.now();
      const head = fitHead([...clips, this.#quietClip(base.quiet)], labels.length + 1);
      this.fitMilliseconds = performance.now() - began;
      const examples = Object.fromEntries(labels.map((label) => [label, this.count(label)]));
      const training = { taught_on: base.name, examples: { ...examples, [OTHER]: this.count(null) } };
      const directions = directionsOf(clips, labels.length + 1);
      const facts = { labels, name: TAUGHT_MODEL, threshold: TAUGHT_THRESHOLD, training };
      const content = await taughtModel(base.bytes, { head, directions, isFramewise, ...facts });
      return new File([content], TAUGHT_MODEL);
    } finally {
      if (this.#machine.can("teaching", "built")) this.#machine.send("teaching", "built");
    }
  }

  /** The clips, and a table of them, as `oido train` reads it. */
  async clips() {
    const { storedZip } = this.#base?.core ?? (await loadCore());
    await this.#queue;
    const named = [...this.labels.map((label) => ({ label, stem: label })), { label: null, stem: OTHER }];
    /** @type {{name: string, label: string, content: Uint8Array}[]} */
    const files = [];
    for (const { label, stem } of named) {
      for (const { samples, sampleRateHz } of this.#examples.of(label)) {
        const name = `${stem.replaceAll(/[\\/:*?"<>|\s]+/g, "-")}-${files.length + 1}.wav`;
        const wav = wavFile([samples], sampleRateHz, name);
        files.push({ name, label: stem, content: new Uint8Array(await wav.arrayBuffer()) });
      }
    }
    const table = { name: "labels.csv", content: new TextEncoder().encode(labelledFiles(files)) };
    return new File([storedZip([table, ...files])], "my-sounds.zip", { type: "application/zip" });
  }

  /**
   * The quiet is none of the sounds, whatever they are.
   * @param {Float32Array[]} quiet
   * @returns {LearntClip}
   */
  #quietClip(quiet) {
    return { rows: quiet, directions: null, weights: quiet.map(() => 1), label: this.labels.length };
  }

  /**
   * @param {string | null} label
   * @param {Float32Array} samples
   */
  #add(label, samples) {
    this.#queue = this.#queue.then(async () => {
      const base = this.#base;
      if (base === null) return;
      try {
        if (!(await this.#examples.add(base.embedder, { label, samples, base: base.key }))) this.#on.notKept();
      } catch (error) {
        if (this.#base === base) this.#on.failed(error);
      }
      this.#changed();
    });
  }

  async #changed() {
    this.#on.changed();
    const base = this.#base;
    this.#nChanges += 1;
    const change = this.#nChanges;
    if (base === null) return;
    const always = [this.#quietClip(base.quiet)];
    const isStale = () => change !== this.#nChanges;
    const { clips, labels } = this.#examples;
    if (!this.canFit) this.#judgement = null;
    const judgement = this.canFit ? await base.core.judgeHead(clips, labels.length + 1, { always, isStale }) : null;
    if (isStale()) return;
    this.#judgement = judgement;
    this.#on.changed();
  }

  #closeMicrophone() {
    this.#microphone?.close();
    this.#microphone = null;
    this.#recorder = null;
  }
}
