// SPDX-License-Identifier: Apache-2.0
// Waiting between attempts: longer each time, and never for ever.

const FIRST_SECONDS = 1;
const LONGEST_SECONDS = 15;

/**
 * Seconds before the n-th attempt after the first (n from 1): 1, 2, 4, 8, 15, 15…
 * @param {number} n
 */
export function pauseSeconds(n) {
  return Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** (n - 1));
}

/**
 * Ends at once when it is given up.
 * @param {number} seconds
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<void>}
 */
export function sleep(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
