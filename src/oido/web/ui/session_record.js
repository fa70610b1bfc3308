// SPDX-License-Identifier: Apache-2.0

/* An entry of the shelf as plain values that a browser can keep, and back. */

import { Calibrator } from "../core/calibration.js";
import { kindOf } from "../core/errors.js";
import { MOST_KEPT_SAMPLES, StoredAudio } from "./recent.js";
import { Session } from "./session.js";

/** @import { Calibration } from "../core/calibration.js" */
/** @import { EngineInfo, Model, Place, Sound } from "../types.js" */
/** @import { FramesDump } from "./frames.js" */
/** @import { HistoryDump } from "./history.js" */
/** @import { Entry } from "./shelf.js" */

const MOST_FILE_BYTES = 50_000_000; // a larger file is not copied

/**
 * id: when it began, milliseconds; two entries never begin at once. bytes: about what it takes.
 * @typedef {{id: number, where: Place, model: {name: string, url: string | null}, name: string, info: EngineInfo,
 *   calibration: Calibration | null, floor: number, isOnDevice: boolean, isLive: boolean, isCut: boolean,
 *   isSaved: boolean, isDamaged: boolean, nSamples: number, seconds: number, file: File | null,
 *   audio: {first: number, samples: Blob} | null, history: HistoryDump, frames: FramesDump,
 *   bytes: number}} SessionRecord
 */

/**
 * @param {Entry} entry
 * @returns {Promise<SessionRecord>}
 */
export async function recordOf({ session, model, where, file, began, seconds }) {
  const { info, calibrator, audio } = session;
  const calibration = calibrator && {
    sigmoids: calibrator.sigmoids,
    transformation: calibrator.transformation,
    defaultScore: calibrator.defaultScore,
  };
  const keptFile = file && file.size <= MOST_FILE_BYTES ? file : null;
  const sound = audio && (await soundOf(audio));
  return {
    id: began,
    where,
    model: { name: model.name, url: model.url ?? null },
    name: session.name,
    info: plainInfo(info),
    calibration,
    floor: session.floor,
    isOnDevice: session.isOnDevice,
    isLive: session.isLive,
    isCut: session.isCut || !session.isOver,
    isSaved: session.isSaved,
    isDamaged: session.isDamaged,
    nSamples: session.nSamples,
    seconds,
    file: keptFile,
    audio: sound,
    history: session.history.dump(),
    frames: session.frames.dump(),
    bytes: (keptFile?.size ?? 0) + (sound?.samples.size ?? 0),
  };
}

/**
 * modelNamed: the page's own model of a name, or null where it has none of that name any more.
 * @param {SessionRecord} record
 * @param {(name: string) => Model | null} modelNamed
 * @returns {Entry}
 */
export function entryOf(record, modelNamed) {
  const { info, calibration, floor, file, audio } = record;
  const calibrator = calibration && new Calibrator(calibration);
  const sound = audio && new StoredAudio(info.sampleRateHz, audio.first, audio.samples);
  const engine = { info, floor, calibrator };
  const session = new Session({ name: record.name, engine, audio: sound, isLive: record.isLive });
  session.isOnDevice = record.isOnDevice;
  session.isCut = record.isCut && !record.isLive;
  session.isSaved = record.isSaved;
  session.began = record.isLive ? record.id : 0;
  session.isDamaged = record.isDamaged;
  session.restore(record);
  const { name, url } = record.model;
  const gone = /** @type {Model} */ (/** @type {unknown} */ ({ name, url, calibrated: info.calibrated, labels: info.labels }));
  const model = modelNamed(name) ?? gone;
  // What came from a file is called by its name, also where the file itself is gone.
  const shownFile = file ?? (record.isLive ? null : new File([], record.name));
  return { where: record.where, model, file: shownFile, session, began: record.id, seconds: record.seconds };
}

/**
 * Without what a database cannot take.
 * @param {EngineInfo} info
 * @returns {EngineInfo}
 */
function plainInfo({ name, labels, sampleRateHz, windowSamples, hopSamples, calibrated, thresholds, ...rest }) {
  const { columns, imageSamples, kinship, leastSimilarity } = rest;
  const sizes = { sampleRateHz, windowSamples, hopSamples, columns, imageSamples };
  return { name, labels, ...sizes, calibrated, thresholds, kinship, leastSimilarity };
}

/**
 * null: it is too long, or its file cannot be read any more.
 * @param {Sound} audio
 */
async function soundOf(audio) {
  const { first, nSamples } = audio;
  if (nSamples - first > MOST_KEPT_SAMPLES) return null;
  /** @type {Blob[]} */
  const parts = [];
  try {
    for await (const piece of audio.pieces()) parts.push(new Blob([piece])); // not all of them in memory at once
  } catch (error) {
    if (kindOf(error) !== "AudioNotFoundError") throw error;
    return null;
  }
  return { first, samples: new Blob(parts) };
}
