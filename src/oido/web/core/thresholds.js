// SPDX-License-Identifier: Apache-2.0

/* Thresholds per label, as CSV, `label,threshold` a line; as oido.heads.parse_thresholds reads them. */

import { OidoError } from "./errors.js";

/** Of events, where neither the user nor the model has another. */
export const DEFAULT_THRESHOLD = 0.2;

const SHOWN_CHARACTERS = 80;

/**
 * [label, threshold] pairs, with or without a header. Throws OptionError naming the line.
 * @param {string} text
 * @returns {[string, number][]}
 */
export function parseThresholds(text) {
  /** @type {[string, number][]} */
  const pairs = [];
  text.split("\n").forEach((line, index) => {
    const row = fields(line.endsWith("\r") ? line.slice(0, -1) : line);
    if (row?.length === 0) return;
    if (index === 0 && row?.map((cell) => cell.trim()).join() === "label,threshold") return;
    const value = row?.length === 2 && row[1].trim() !== "" ? Number(row[1]) : NaN;
    if (row === null || !(value >= 0 && value <= 1)) {
      throw new OidoError(
        "OptionError",
        `line ${index + 1}: must be label,threshold, the threshold from 0 to 1 and labels that hold a comma ` +
          `in quotes, not "${line.slice(0, SHOWN_CHARACTERS)}"`,
      );
    }
    pairs.push([row[0].trim(), value]);
  });
  return pairs;
}

/**
 * The cells of one line of CSV; null if its quotes do not match.
 * @param {string} line
 * @returns {string[] | null}
 */
function fields(line) {
  if (line === "") return [];
  const cells = [];
  let rest = line;
  for (;;) {
    const match = /^"((?:[^"]|"")*)"(?=,|$)|^([^,"][^,]*)?(?=,|$)/.exec(rest);
    if (match === null) return null;
    cells.push(match[1] === undefined ? (match[2] ?? "") : match[1].replaceAll('""', '"'));
    rest = rest.slice(match[0].length);
    if (rest === "") return cells;
    rest = rest.slice(1);
  }
}
