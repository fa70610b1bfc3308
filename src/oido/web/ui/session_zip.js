// SPDX-License-Identifier: Apache-2.0

/* A session as one file: the table of its events, and the sound of each. */

import { zipFiles } from "../core/zip.js";
import { clipOfEvent } from "./clips.js";
import { FORMATS } from "./exports.js";
import { valueOf } from "./history.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { EventRow } from "./exports.js" */
/** @import { Session } from "./session.js" */

const MOST_BYTES = 200_000_000; // of sound: a browser has all of it in memory

/**
 * events.csv, with the rows of the table, and clips/, of the surest events first as far as they fit; nClips says how
 * many those are.
 * @param {Session} session
 * @param {SoundEvent[]} events
 * @param {EventRow[]} rows of these events, as they are saved
 * @returns {Promise<{file: File, nClips: number}>}
 */
export async function sessionZip(session, events, rows) {
  /** @type {{name: string, content: Blob, startTime: number}[]} */
  const clips = [];
  let bytes = 0;
  for (const event of [...events].sort((a, b) => valueOf(b) - valueOf(a))) {
    const clip = await clipOfEvent(session, event);
    if (clip === null) continue;
    bytes += clip.size;
    if (bytes > MOST_BYTES) break;
    clips.push({ name: clip.name, content: clip, startTime: event.startTime });
  }
  clips.sort((a, b) => a.startTime - b.startTime);
  const digits = String(clips.length).length;
  const files = clips.map(({ name, content }, number) => ({
    name: `clips/${String(number + 1).padStart(digits, "0")}-${name}`, // two events may have the same name and time
    content,
  }));
  const table = FORMATS.csv.text(rows, session.info.calibrated);
  const zip = await zipFiles([{ name: "events.csv", content: table }, ...files]);
  const stem = session.name.replace(/\.[^.]+$/, "");
  return { file: new File([zip], `${stem}.zip`, { type: "application/zip" }), nClips: files.length };
}
