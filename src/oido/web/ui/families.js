// SPDX-License-Identifier: Apache-2.0

/*
 * Families of sounds: people, animals, music… Each has a colour (style.css) and a sign, so that it is known without
 * colours, too. Which label belongs to which, oido.server.families tells.
 */

/** @typedef {"people" | "animals" | "music" | "vehicles" | "alarms" | "home" | "nature" | "other"} Family */

/** In their order, with their signs. @type {Record<Family, string>} */
export const SIGNS = {
  people: "☺",
  animals: "❦",
  music: "♪",
  vehicles: "➤",
  alarms: "▲",
  home: "⌂",
  nature: "≈",
  other: "•",
};

/** @type {Record<string, string>} */
let known = {};

/** @param {Record<string, string>} families by label */
export function setFamilies(families) {
  known = Object.fromEntries(Object.entries(families).map(([label, family]) => [label.toLowerCase(), family]));
}

/**
 * @param {string} label
 * @returns {Family}
 */
export function familyOf(label) {
  const family = known[label.toLowerCase()];
  return family !== undefined && isFamily(family) ? family : "other";
}

/**
 * @param {string} name
 * @returns {name is Family}
 */
export function isFamily(name) {
  return name in SIGNS;
}
