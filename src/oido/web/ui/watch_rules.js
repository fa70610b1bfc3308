// SPDX-License-Identifier: Apache-2.0

/*
 * When somebody is to be told of a sound: once each time that it begins, by a sensitivity of its own, and not in quiet
 * hours. Windows decide, not events, so that it is said while it is heard.
 */

/** @import { WindowScores } from "../types.js" */

const AGAIN = 0.5; // of its threshold: below it, the sound is over, and may begin again
const QUIET_WINDOWS = 4; // in a row, so that a pause between two barks is none

/**
 * A sound that is watched for. threshold: what a window needs of it.
 * @typedef {{label: string, threshold: number}} Watch
 *
 * Minutes of the day; from after to: over midnight.
 * @typedef {{from: number, to: number}} QuietHours
 */

export class WatchRules {
  /** Of each label: windows since it was last heard; not here: it was not. @type {Map<string, number>} */
  #heard = new Map();

  /**
   * The sounds that begin with this window.
   * @param {WindowScores} window
   * @param {string[]} labels
   * @param {Watch[]} watches
   * @returns {{watch: Watch, value: number}[]}
   */
  begun({ scores, probabilities }, labels, watches) {
    const values = probabilities ?? scores;
    const found = [];
    for (const watch of watches) {
      const value = values[labels.indexOf(watch.label)] ?? 0;
      const since = this.#heard.get(watch.label);
      if (value >= watch.threshold) {
        this.#heard.set(watch.label, 0);
        if (since === undefined) found.push({ watch, value });
      } else if (since !== undefined && value < AGAIN * watch.threshold) {
        if (since + 1 >= QUIET_WINDOWS) this.#heard.delete(watch.label);
        else this.#heard.set(watch.label, since + 1);
      } else if (since !== undefined) {
        this.#heard.set(watch.label, 0);
      }
    }
    return found;
  }

  /** Another stream begins. */
  reset() {
    this.#heard.clear();
  }
}

/**
 * Whether a time is in the quiet hours. null: there are none.
 * @param {QuietHours | null} hours
 * @param {Date} time
 */
export function isQuiet(hours, time) {
  if (hours === null || hours.from === hours.to) return false;
  const minute = 60 * time.getHours() + time.getMinutes();
  const { from, to } = hours;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

/**
 * Minutes of the day of "07:30"; null for anything else.
 * @param {string} text
 */
export function minuteOf(text) {
  const found = /^(\d{2}):(\d{2})$/.exec(text);
  return found ? 60 * Number(found[1]) + Number(found[2]) : null;
}
