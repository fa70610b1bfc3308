// SPDX-License-Identifier: Apache-2.0
// Tables of events: the columns and numbers of `oido classify --format csv, srt, audacity`.

import { fixed, floatText, rounded } from "./numbers.js";

/** @import { SoundEvent } from "../types.js" */

const COLUMNS = ["file", "channel", "start_time", "end_time", "label", "label_index", "score"];

/** @typedef {SoundEvent & {file: string}} EventRow */

/** @type {Record<string, {suffix: string, type: string, text: (rows: EventRow[], calibrated: boolean) => string}>} */
export const FORMATS = {
  csv: { suffix: ".csv", type: "text/csv", text: csv },
  srt: { suffix: ".srt", type: "application/x-subrip", text: srt },
  audacity: { suffix: ".audacity.txt", type: "text/plain", text: audacity },
};

/**
 * @param {EventRow[]} rows
 * @param {boolean} calibrated
 */
export function csv(rows, calibrated) {
  const lines = [[...COLUMNS, ...(calibrated ? ["probability"] : []), "also"].join(",")];
  for (const row of rows) {
    const values = [
      quoted(row.file),
      "", // channels were mixed
      floatText(rounded(row.startTime, 6)),
      floatText(rounded(row.endTime, 6)),
      quoted(row.label),
      row.labelIndex,
      floatText(rounded(row.score, 8)),
    ];
    if (calibrated) values.push(row.probability === null ? "" : floatText(rounded(row.probability, 8)));
    values.push(quoted(row.also.map((label) => label.replace(/[\\|]/g, "\\$&")).join("|")));
    lines.push(values.join(","));
  }
  return `${lines.join("\n")}\n`;
}

/**
 * A table of labels, as `oido train`, `calibrate` and `evaluate` read it.
 * @param {EventRow[]} rows
 */
export function labelsTable(rows) {
  const lines = ["file,start_time,end_time,label"];
  for (const { file, startTime, endTime, label } of rows) {
    const times = [startTime, endTime].map((seconds) => floatText(rounded(seconds, 6)));
    lines.push([quoted(file), ...times, quoted(label)].join(","));
  }
  return `${lines.join("\n")}\n`;
}

/**
 * A table of whole clips, as `oido train` reads it; each is a source by itself.
 * @param {{name: string, label: string}[]} clips
 */
export function labelledFiles(clips) {
  const rows = clips.map(({ name, label }) => [name, label, name].map(quoted).join(","));
  return ["file,label,group", ...rows, ""].join("\n");
}

/** @param {EventRow[]} rows */
export function audacity(rows) {
  return rows
    .map((row) => `${fixed(row.startTime, 6)}\t${fixed(row.endTime, 6)}\t${oneLine(row.label)}\n`)
    .join("");
}

/** @param {EventRow[]} rows */
export function srt(rows) {
  return rows
    .map((row, i) => `${i + 1}\n${cue(row.startTime)} --> ${cue(row.endTime)}\n[${oneLine(row.label)}]\n\n`)
    .join("");
}

/** @param {number} seconds */
function cue(seconds) {
  const milliseconds = Number(fixed(seconds * 1000, 0));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const whole = Math.floor(milliseconds / 1000);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return `${two(h)}:${two(m)}:${two(s)},${String(milliseconds % 1000).padStart(3, "0")}`;
}

/** @param {string} text */
function oneLine(text) {
  return text.replace(/[\t\n\v\f\r\x85\u2028\u2029]/g, " ");
}

/** @param {string} text */
function quoted(text) {
  // As `oido classify -o` does: a spreadsheet runs what begins with such a sign, but not behind "'".
  if (/^'*[=+\-@\t\r\n＝＋－＠]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Gives the browser a text to save.
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function save(name, type, text) {
  saveFile(new File([text], name, { type }));
}

/**
 * Gives the browser a file to save, by its name.
 * @param {File} file
 */
export function saveFile(file) {
  const address = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = address;
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
