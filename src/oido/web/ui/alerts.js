// SPDX-License-Identifier: Apache-2.0

/* The ways in which the page tells of a sound that was watched for, while its tab lives. */

import { byId } from "./elements.js";

const FLASH_MS = 2500;
const CHIME_HZ = [660, 880];

/** @typedef {{chime: boolean, flash: boolean, vibrate: boolean, notify: boolean}} Ways */

/**
 * Which of them this browser has.
 * @returns {Ways}
 */
export function possibleWays() {
  return {
    chime: "AudioContext" in window,
    flash: true,
    vibrate: "vibrate" in navigator,
    notify: "Notification" in window && window.isSecureContext,
  };
}

/**
 * Asks to be allowed to notify; gives whether it is.
 * @returns {Promise<boolean>}
 */
export async function allowNotifications() {
  if (!possibleWays().notify) return false;
  if (Notification.permission === "default") await Notification.requestPermission();
  return Notification.permission === "granted";
}

/**
 * @param {string} text
 * @param {Ways} ways
 */
export function alertBy(text, ways) {
  if (ways.chime) chime();
  if (ways.flash) flash(text);
  if (ways.vibrate) navigator.vibrate?.([300, 100, 300]);
  if (ways.notify) notify(text);
}

/** Two short tones. */
function chime() {
  const context = new AudioContext();
  CHIME_HZ.forEach((hz, number) => {
    const [tone, gain] = [context.createOscillator(), context.createGain()];
    const start = context.currentTime + 0.2 * number;
    tone.frequency.value = hz;
    gain.gain.setValueAtTime(0.2, start);
    gain.gain.exponentialRampToValueAtTime(0.001, start + 0.3);
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.3);
    tone.onended = () => number === CHIME_HZ.length - 1 && context.close();
  });
}

let timer = 0;

/**
 * The whole screen, for who does not hear: its name in large letters.
 * @param {string} text
 */
function flash(text) {
  const veil = byId("flash");
  veil.textContent = text;
  veil.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (veil.hidden = true), FLASH_MS);
}

/** @param {string} text */
async function notify(text) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const options = { icon: new URL("icons/icon-192.png", document.baseURI).href, tag: text };
  // Phones know notifications of service workers only.
  const registration = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
  if (registration) await registration.showNotification(text, options).catch(() => {});
  else new Notification(text, options);
}
