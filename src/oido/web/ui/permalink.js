// SPDX-License-Identifier: Apache-2.0

/*
 * Links to a moment of what was heard. All of it stands behind the # of the address, which no server is told: the
 * recording's name, the time, and the number of the session in this browser.
 */

/** @import { Entry } from "./shelf.js" */

/** @typedef {{recording: string, seconds: number, session: number | null}} Moment */

/**
 * The address of a moment.
 * @param {Pick<Entry, "began"> & {session: {name: string}}} entry
 * @param {number} seconds
 * @param {string} [page] its address
 */
export function linkTo({ began, session }, seconds, page = location.href) {
  const address = new URL(page);
  const parts = { recording: session.name, t: String(Math.round(seconds * 100) / 100), session: String(began) };
  address.search = "";
  address.hash = new URLSearchParams(parts).toString();
  return address.href;
}

/**
 * The moment that an address is of, or null.
 * @param {string} [page]
 * @returns {Moment | null}
 */
export function momentIn(page = location.href) {
  const parts = new URLSearchParams(new URL(page).hash.slice(1));
  const [recording, seconds, session] = [parts.get("recording"), Number(parts.get("t")), Number(parts.get("session"))];
  if (!recording || !Number.isFinite(seconds) || seconds < 0) return null;
  return { recording, seconds, session: Number.isSafeInteger(session) && session > 0 ? session : null };
}

/**
 * The entry that a moment is in: that session, or else another of a recording of that name. (All sessions of the
 * microphone have the same name, so of these only the session itself counts.)
 * @param {Moment} moment
 * @param {Entry[]} entries
 */
export function entryAt({ recording, session }, entries) {
  const named = entries.filter((entry) => entry.file !== null && entry.session.name === recording);
  return entries.find(({ began }) => began === session) ?? named.at(-1) ?? null;
}
