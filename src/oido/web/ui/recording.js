// SPDX-License-Identifier: Apache-2.0

/*
 * A recording that was dropped or opened, heard as it is decoded: its windows are there as they come, and what was
 * heard stays when the rest is given up.
 */

import { LONG_BYTES, decodeFile, openSliced } from "../core/decode.js";
import { kindOf, throwIfAborted } from "../core/errors.js";
import { FileAudio, MOST_KEPT_SAMPLES, WholeAudio } from "./recent.js";
import { Session } from "./session.js";

/** @import { Read } from "../core/decode.js" */
/** @import { Engine, Samples, Waiting, WindowScores } from "../types.js" */

const MOST_UPLOAD_BYTES = 50_000_000; // of a file as it is; of a larger one the server gets what was decoded

const SLICE_SAMPLES = 160_000;

const ADVANCE_WINDOWS = 16; // as many come together on a device; events are made of them at once

/**
 * begun: told its session as soon as something of it was heard. changed: more was heard.
 * @typedef {{begun: (session: Session) => void, changed: (session: Session) => void,
 *   stage: (stage: "decoding" | "decodingWhole" | "hearing") => void, progress: (share: number) => void,
 *   wait: (waiting: Waiting | null) => void}} Handlers
 */

/**
 * Hears a file. engine: by which; signal: to give it up. Gives {session, problem}: problem is null, or an error that
 * cost only a part (the picture, what comes after a damage, what was not heard when it was given up). Throws what left
 * nothing.
 * @param {File} file
 * @param {{engine: Engine, signal: AbortSignal, on: Handlers}} options
 */
export async function hearFile(file, { engine, signal, on }) {
  on.stage("decoding");
  const { samples, nSamples, read, isDamaged, problem } = await decoded(file, engine, on);
  throwIfAborted(signal);
  on.stage("hearing");
  const { sampleRateHz } = engine.info;
  const isRead = read !== null && nSamples > MOST_KEPT_SAMPLES;
  const audio = samples && (isRead ? new FileAudio(sampleRateHz, read) : new WholeAudio(sampleRateHz));
  const session = new Session({ name: file.name, engine, audio, file: audio && file });
  session.nSamples = nSamples;
  let nWindows = 0;
  const onWindow = (/** @type {WindowScores} */ window) => {
    session.add(window);
    if (nWindows++ === 0) on.begun(session);
    if (nWindows % ADVANCE_WINDOWS) return;
    session.advance();
    on.changed(session);
  };
  try {
    const options = { signal, file, onProgress: on.progress, onWait: on.wait, onWindow };
    const passing = samples && audio && passed(samples, nSamples, { session, audio, on });
    const windows = await engine.hear(passing, options);
    // A server's levels are of the samples that its scores are of, and of what only it can decode.
    if (windows.levels) session.addLevels(windows.levels);
    else if (samples instanceof Float32Array && windows.length) session.addSamples(samples);
    for (const window of windows) session.add(window);
    session.floor = Math.max(session.floor, engine.floor ?? 0); // a long recording is told less of
    session.finish(windows.nSamples ?? audio?.nSamples ?? 0);
    session.isDamaged = windows.isDamaged ?? isDamaged();
    if (windows.length) on.begun(session);
    return { session, problem };
  } catch (error) {
    if (nWindows === 0 || kindOf(error) === "AccessError") throw error;
    session.finish(Math.min(audio?.nSamples ?? 0, heardSamples(engine, nWindows)));
    session.isCut = true;
    return { session, problem: error };
  }
}

/**
 * Whole, or by slices where it is long. samples null: only the server can decode it. read: from any place on, null
 * where it cannot be. isDamaged: as far as is known here, once it is heard.
 * @param {File} file
 * @param {Engine} engine
 * @param {Handlers} on
 * @returns {Promise<{samples: Samples | null, nSamples: number, read: Read | null, isDamaged: () => boolean,
 *   problem: unknown}>}
 */
async function decoded(file, engine, on) {
  const { sampleRateHz } = engine.info;
  try {
    const sliced = await openSliced(file, sampleRateHz);
    if (sliced) return { ...sliced, samples: sliced.slices(), problem: null };
    if (file.size >= LONG_BYTES) on.stage("decodingWhole");
    const { samples, isDamaged } = await decodeFile(file, sampleRateHz);
    const isLarge = engine.floor !== undefined && file.size > MOST_UPLOAD_BYTES;
    const known = { nSamples: samples.length, read: null, isDamaged: () => isDamaged, problem: null };
    return { samples: isLarge ? slicesOf(samples) : samples, ...known };
  } catch (error) {
    // A server knows more formats than the browser.
    if (!("floor" in engine)) throw error;
    return { samples: null, nSamples: 0, read: null, isDamaged: () => false, problem: error };
  }
}

/** @param {Float32Array<ArrayBuffer>} samples */
async function* slicesOf(samples) {
  for (let at = 0; at < samples.length; at += SLICE_SAMPLES) yield samples.slice(at, at + SLICE_SAMPLES);
}

/**
 * What passes on its way to the engine is kept to be seen and played, or counted to be read again, and measured.
 * @param {Samples} samples
 * @param {number} nSamples
 * @param {{session: Session, audio: WholeAudio | FileAudio, on: Handlers}} parts
 * @returns {Samples}
 */
function passed(samples, nSamples, { session, audio, on }) {
  const isServer = !session.isOnDevice;
  if (samples instanceof Float32Array) {
    audio.push(samples);
    if (!isServer) session.addSamples(samples);
    return samples;
  }
  return (async function* () {
    for await (const piece of samples) {
      audio.push(piece);
      session.addSamples(piece);
      on.progress(Math.min(1, audio.nSamples / nSamples));
      yield piece;
    }
  })();
}

/**
 * What so many windows answer for.
 * @param {Engine} engine
 * @param {number} nWindows
 */
function heardSamples({ info }, nWindows) {
  return (nWindows - 1) * info.hopSamples + info.windowSamples;
}
