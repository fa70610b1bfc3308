// SPDX-License-Identifier: Apache-2.0
// Numbers as oido's Python writers write them, to the last digit.

/**
 * x with so many decimals, as text; exact ties go to the even digit (IEEE 754, Python's round).
 * @param {number} x
 * @param {number} decimals
 */
export function fixed(x, decimals) {
  const text = x.toFixed(decimals);
  const exact = x.toFixed(100); // the whole binary value: all decimals that a double of 0..1 has
  const tail = exact.slice(exact.indexOf(".") + 1 + decimals);
  const isTie = /^50*$/.test(tail);
  if (!isTie) return text;
  const below = exact.slice(0, exact.indexOf(".") + 1 + decimals).replace(/\.$/, "");
  return Number(below.at(-1)) % 2 === 0 ? below : text;
}

/** @type {(x: number, decimals: number) => number} */
export const rounded = (x, decimals) => Number(fixed(x, decimals));

/**
 * A number as Python's repr writes a float.
 * @param {number} x
 */
export function floatText(x) {
  if (Number.isInteger(x) && Math.abs(x) < 1e16) return `${x}.0`;
  const magnitude = Math.abs(x);
  if (magnitude >= 1e-4 && magnitude < 1e16) return String(x);
  const [digits, exponent] = x.toExponential().split("e");
  const power = Number(exponent);
  const sign = power < 0 ? "-" : "+";
  return `${digits}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}
