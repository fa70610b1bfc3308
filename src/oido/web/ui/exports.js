// SPDX-License-Identifier: Apache-2.0
// Tables of events: the columns and numbers of `oido classify --format csv, srt, audacity`.

import { fixed, floatText, rounded } from "./numbers.js";

const COLUMNS = ["file", "channel", "start_time", "end_time", "label", "label_index", "score"];

// What a caller gives as rows: {file, label, labelIndex, startTime, endTime, score, probability}.
export const FORMATS = {
  csv: { suffix: ".csv", type: "text/csv", text: csv },
  srt: { suffix: ".srt", type: "application/x-subrip", text: srt },
  audacity: { suffix: ".audacity.txt", type: "text/plain", text: audacity },
};

export function csv(rows, calibrated) {
  const lines = [(calibrated ? [...COLUMNS, "probability"] : COLUMNS).join(",")];
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
    if (calibrated) values.push(floatText(rounded(row.probability, 8)));
    lines.push(values.join(","));
  }
  return `${lines.join("\n")}\n`;
}

export function audacity(rows) {
  return rows
    .map((row) => `${fixed(row.startTime, 6)}\t${fixed(row.endTime, 6)}\t${row.label}\n`)
    .join("");
}

export function srt(rows) {
  return rows
    .map((row, i) => `${i + 1}\n${cue(row.startTime)} --> ${cue(row.endTime)}\n[${row.label}]\n\n`)
    .join("");
}

function cue(seconds) {
  const milliseconds = Number(fixed(seconds * 1000, 0));
  const two = (n) => String(n).padStart(2, "0");
  const whole = Math.floor(milliseconds / 1000);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return `${two(h)}:${two(m)}:${two(s)},${String(milliseconds % 1000).padStart(3, "0")}`;
}

function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Gives the browser a file to save.
export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
