// SPDX-License-Identifier: Apache-2.0
// Small choices, kept in this browser where it lets us.

/** @param {string} name */
export function recall(name) {
  try {
    return localStorage.getItem(`oido.${name}`);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`oido.${name}`, value);
  } catch {
    // A browser that keeps nothing: the choice lasts as long as the page.
  }
}

// The token of the server: only until the browser is closed.
export function recallToken() {
  try {
    return sessionStorage.getItem("oido.token") ?? "";
  } catch {
    return "";
  }
}

/** @param {string} token */
export function rememberToken(token) {
  try {
    sessionStorage.setItem("oido.token", token);
  } catch {
    // It is asked for again after a reload.
  }
}
