// SPDX-License-Identifier: Apache-2.0

/**
 * The element of index.html with this id. kind: its class, where more than HTMLElement is needed of it.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof (kind ?? HTMLElement))) throw new TypeError(`index.html has no such element: ${id}`);
  return /** @type {T} */ (element); // where no kind is given, T is HTMLElement
}
