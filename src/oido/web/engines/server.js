// SPDX-License-Identifier: Apache-2.0

/* Hears on the server: recordings by POST /v1/classify, the microphone by WS /v1/stream. */

import { Calibrator, parseSigmoids } from "../core/calibration.js";
import { OidoError, kindOf, messageOf, throwIfAborted } from "../core/errors.js";
import { Segments } from "../core/segments.js";
import { wavFile } from "../core/wav.js";
import { Windowing } from "../core/windowing.js";
import { pauseSeconds, sleep } from "./backoff.js";
import { ServerStream } from "./server_stream.js";

/** @import { EngineInfo, HearOptions, ListedModel, Samples, Stream, StreamHandlers, WindowList, WindowScores } from "../types.js" */

/**
 * One label of one window, as the server writes it.
 * @typedef {{label_index: number, score: number, probability?: number}} Row
 *
 * A window of it: its rows, and what events are made of. framewise: of each part of it, score by label index.
 * levels: of the next 20 ms each, of a recording only.
 * @typedef {{rows: Row[], framewise: Record<string, number>[], similarity?: number | null}} Told
 *
 * @typedef {Told & {levels?: number[]}} ToldOfRecording
 */

const ATTEMPTS = 6;

const PIECE_SECONDS = 300; // of a long recording, in one request

/** Of scores that are asked for; a longer recording has too many rows, and gets the next. */
const FLOORS = [0.02, 0.05, 0.15];

/**
 * Of a floor: that of framewise scores. It keeps a quantised network's least step (1/256), and leaves out what
 * is nothing to two networks heard together (1/512).
 */
const FRAMEWISE_SHARE = 1 / 8;

const RETRIED = new Set(["GoneError", "BusyError"]);

/**
 * An engine that hears on a server. model: as /web/models.json describes it. base: the server's address.
 * token: "" where it wants none.
 * @param {{model: ListedModel, base: URL, token?: string}} options
 */
export async function openServer({ model, base, token = "" }) {
  return new ServerEngine(model, base, token);
}

class ServerEngine {
  #base;
  #token;

  /**
   * @param {ListedModel} model
   * @param {URL} base
   * @param {string} token
   */
  constructor(model, base, token) {
    this.#base = base;
    this.#token = token;
    /** @type {EngineInfo} */
    this.info = {
      name: model.name,
      labels: model.labels,
      displayNames: model.labels,
      sampleRateHz: model.sampleRateHz,
      windowSamples: model.windowSamples,
      hopSamples: model.hopSamples,
      calibrated: model.calibrated,
      thresholds: model.thresholds ? Float32Array.from(model.thresholds) : null,
      columns: model.columns,
      imageSamples: model.imageSamples,
      kinship: model.kinship,
      leastSimilarity: model.leastSimilarity,
    };
    /** Scores below it are not asked for, and stand as 0. */
    this.floor = floorsFor(this.info.thresholds)[0];
    this.calibrator = calibratorOf(model);
  }

  /**
   * Hears a whole recording: `file` as it is, or else the samples. What comes in pieces, because it is long, is sent as
   * 16-bit WAV at the model's rate, some minutes at a time, whose windows are told as they are answered. onWait({why,
   * seconds}): it is tried again later; null: it answers.
   *
   * The array of windows has nSamples, the recording's length at the model's rate, levels, those of its sound,
   * and isDamaged, whether some of it could not be heard.
   * @param {Samples | null} samples
   * @param {HearOptions} [options]
   * @returns {Promise<WindowList>}
   */
  async hear(samples, options = {}) {
    const { onProgress = () => {}, file = null } = options;
    if (samples !== null && !(samples instanceof Float32Array)) return this.#hearPieces(samples, options);
    const body = file ?? wavFile(samples ? [samples] : [], this.info.sampleRateHz, "recording.wav");
    onProgress(0);
    const heard = await this.#hearBody(body, 0, options);
    onProgress(1);
    return heard;
  }

  /**
   * @param {AsyncIterable<Float32Array>} samples
   * @param {HearOptions} options
   * @returns {Promise<WindowList>}
   */
  async #hearPieces(samples, options) {
    const { sampleRateHz, hopSamples } = this.info;
    const most = Math.max(1, Math.floor((PIECE_SECONDS * sampleRateHz) / hopSamples));
    for await (const { waveform, first } of new Segments(new Windowing(this.info), most).of(samples)) {
      const body = wavFile([waveform], sampleRateHz, options.file?.name ?? "recording.wav");
      for (const window of await this.#hearBody(body, first, options)) options.onWindow?.(window);
    }
    return [];
  }

  /**
   * Of a part of a recording that begins with this window, by scores that are as low as the server tells.
   * @param {File} body
   * @param {number} first
   * @param {HearOptions} options
   */
  async #hearBody(body, first, { signal = null, onWait = () => {} }) {
    for (const floor of floorsFor(this.info.thresholds)) {
      try {
        const heard = await this.#insist(() => this.#classify(body, { floor, first }, signal), signal, onWait);
        this.floor = Math.max(floor, first === 0 ? 0 : this.floor);
        return heard;
      } catch (error) {
        const isTooLong = kindOf(error) === "LimitError" && messageOf(error).includes("rows");
        if (!isTooLong || floor === FLOORS.at(-1)) throw error;
      }
    }
    throw new OidoError("LimitError", "the recording is too long");
  }

  /**
   * Hears sound as it comes; see `ServerStream`.
   * @param {StreamHandlers} handlers
   * @returns {Stream}
   */
  stream({ onWindow, onState = () => {} }) {
    const { info } = this;
    this.floor = floorsFor(info.thresholds)[0];
    const address = new URL("v1/stream", this.#base);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const header = {
      version: 1,
      model: info.name,
      sample_rate: info.sampleRateHz,
      channels: 1,
      encoding: "f32le",
      level: "windows",
      threshold: this.floor,
      framewise: this.floor * FRAMEWISE_SHARE,
      ...(this.#token && { token: this.#token }),
    };
    return new ServerStream({
      address: address.href,
      header,
      info,
      windowOf: (index, told) => this.#window(index, told),
      onWindow,
      onState,
    });
  }

  close() {}

  /**
   * @template T
   * @param {() => Promise<T>} action
   * @param {AbortSignal | null} signal
   * @param {NonNullable<HearOptions["onWait"]>} onWait
   * @returns {Promise<T>}
   */
  async #insist(action, signal, onWait) {
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await action();
        if (attempt > 1) onWait(null);
        return result;
      } catch (error) {
        const why = kindOf(error);
        if (why === undefined || !RETRIED.has(why) || attempt === ATTEMPTS) throw error;
        const seconds = pauseSeconds(attempt);
        onWait({ why, seconds });
        await sleep(seconds, signal);
        throwIfAborted(signal);
      }
    }
  }

  /**
   * @param {File} body
   * @param {{floor: number, first: number}} options
   * @param {AbortSignal | null} signal
   * @returns {Promise<WindowList>}
   */
  async #classify(body, { floor, first }, signal) {
    const framewise = String(floor * FRAMEWISE_SHARE);
    const query = new URLSearchParams({
      level: "windows",
      threshold: String(floor),
      framewise,
      model: this.info.name,
    });
    if (body.name) query.set("name", body.name);
    const address = new URL(`v1/classify?${query}`, this.#base);
    const headers = new Headers(this.#token ? { Authorization: `Bearer ${this.#token}` } : {});
    headers.set("Accept-Language", "en"); // the page has its own sentences, and looks into these
    let response, answer;
    try {
      response = await fetch(address, { method: "POST", body, headers, signal });
      answer = await response.json();
    } catch (error) {
      throwIfAborted(signal);
      throw new OidoError("GoneError", "the server does not answer", { cause: error });
    }
    const about = (/** @type {string} */ name) => Number(response.headers.get(name));
    if (response.ok) {
      const isDamaged = about("Oido-Damaged-Packets") > 0;
      return Object.assign(this.#windows(answer, about("Oido-Duration"), first), { isDamaged });
    }
    if (answer.rows) return Object.assign(this.#windows(answer.rows, answer.duration, first), { isDamaged: true });
    throw new OidoError(answer.error, answer.message);
  }

  /**
   * Every window of the recording, or of its part from window `first` on.
   * @param {ToldOfRecording[]} told
   * @param {number} duration
   * @param {number} first
   */
  #windows(told, duration, first) {
    const windows = told.map((each, index) => this.#window(first + index, each));
    const levels = Float32Array.from(told.flatMap((each) => each.levels ?? []));
    return Object.assign(windows, { nSamples: Math.round(duration * this.info.sampleRateHz), levels });
  }

  /**
   * @param {number} index
   * @param {Told} told
   * @returns {WindowScores}
   */
  #window(index, { rows, framewise, similarity = null }) {
    const { labels, calibrated } = this.info;
    const [startTime, endTime] = new Windowing(this.info).times(index);
    const scores = new Float32Array(labels.length);
    const probabilities = calibrated ? new Float32Array(labels.length) : null;
    for (const row of rows) {
      scores[row.label_index] = row.score;
      if (probabilities) probabilities[row.label_index] = row.probability ?? 0;
    }
    const columns = framewise.map((part) => {
      const all = new Float32Array(labels.length);
      for (const [label, score] of Object.entries(part)) all[Number(label)] = score;
      return all;
    });
    return { index, startTime, endTime, scores, probabilities, novelty: similarity, columns };
  }
}

/**
 * What makes probabilities of the scores of events, which are of several windows.
 * @param {ListedModel} model
 */
function calibratorOf({ calibration, labels }) {
  if (calibration === null) return null;
  const { text, transformation, defaultScore } = calibration;
  return new Calibrator({ sigmoids: parseSigmoids(text, labels.length), transformation, defaultScore });
}

/**
 * Low enough for the edges of events at the model's own thresholds, which may be low.
 * @param {Float32Array | null} thresholds
 */
function floorsFor(thresholds) {
  const lowest = thresholds ? Math.min(...thresholds) / 2 : 1;
  return FLOORS.map((floor) => Math.min(floor, Math.floor(lowest * 1e4) / 1e4));
}
