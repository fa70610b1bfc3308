// SPDX-License-Identifier: Apache-2.0

/* A recording that was dropped or opened, heard as a whole. */

import { decodeFile } from "../core/decode.js";
import { throwIfAborted } from "../core/errors.js";
import { WholeAudio } from "./recent.js";
import { Session } from "./session.js";

/** @import { Engine, Waiting } from "../types.js" */

/**
 * Hears a file. engine: by which; signal: to give it up; onStage("decoding" | "hearing"), onProgress(0..1),
 * onWait: of the server engine. Gives {session, problem}: problem is null, or an error that cost only a part
 * (the picture, or what comes after a damage).
 * @param {File} file
 * @param {{engine: Engine, signal: AbortSignal, onStage: (stage: "decoding" | "hearing") => void,
 *   onProgress: (share: number) => void, onWait: (waiting: Waiting | null) => void}} options
 */
export async function hearFile(file, { engine, signal, onStage, onProgress, onWait }) {
  const { sampleRateHz } = engine.info;
  onStage("decoding");
  let decoded = null;
  let problem = null;
  try {
    decoded = await decodeFile(file, sampleRateHz);
  } catch (error) {
    // A server knows more formats than the browser.
    if (!("floor" in engine)) throw error;
    problem = error;
  }
  throwIfAborted(signal);
  onStage("hearing");
  const windows = await engine.hear(decoded?.samples ?? null, { signal, onProgress, onWait, file });
  const audio = decoded && new WholeAudio(decoded.samples, sampleRateHz);
  const session = new Session({ name: file.name, engine, audio, file: audio && file });
  // A server's are of the samples that its scores are of, and of what only it can decode.
  if (windows.levels) session.addLevels(windows.levels);
  else if (decoded) session.addSamples(decoded.samples);
  for (const window of windows) session.add(window);
  session.finish(windows.nSamples ?? decoded?.samples.length ?? 0);
  session.damage = windows.damage ?? null;
  return { session, problem };
}
