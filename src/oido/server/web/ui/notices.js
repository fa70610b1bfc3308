// SPDX-License-Identifier: Apache-2.0

/* What the page has to say: one message at a time, and a quiet voice for screen readers. */

import { onLanguage, t } from "./language.js";

const SPEAK_EVERY_MS = 4000;

const box = document.getElementById("notice");
const text = document.getElementById("notice-text");
const button = document.getElementById("notice-action");
const alarm = document.getElementById("alarm");
const voice = document.getElementById("say");

let current = null;

/** Shows a message. action: {key, run}, a button with it. It is read aloud at once. */
export function notice(key, values = {}, action = null) {
  const isNew = current === null || current.key !== key;
  current = { key, values, action };
  render();
  // A message that only counts seconds is not said again.
  if (isNew) alarm.textContent = t(key, values);
}

/** Takes the message away; with keys, only if it is one of them. */
export function clearNotice(...keys) {
  if (current === null || (keys.length && !keys.includes(current.key))) return;
  current = null;
  alarm.textContent = "";
  render();
}

function render() {
  box.hidden = current === null;
  if (current === null) return;
  text.textContent = t(current.key, current.values);
  button.hidden = current.action === null;
  if (current.action) button.textContent = t(current.action.key);
}

document.getElementById("notice-close").addEventListener("click", () => clearNotice());
button.addEventListener("click", () => {
  const run = current?.action?.run;
  clearNotice();
  run?.();
});
onLanguage(render);

let waiting = [];
let timer = 0;
let lastSpoken = 0;

/** Says something to screen readers; often is too much, so what comes quickly is said together. */
export function say(words) {
  waiting.push(words);
  waiting = [...new Set(waiting)].slice(-4);
  if (timer) return;
  const pause = Math.max(0, lastSpoken + SPEAK_EVERY_MS - performance.now());
  timer = setTimeout(() => {
    timer = 0;
    lastSpoken = performance.now();
    voice.textContent = waiting.join(", ");
    waiting = [];
  }, pause);
}

/** Says that the server is asked again in a while; null: it answers. wait: {why, seconds}. */
export function showWaiting(wait) {
  if (wait === null) clearNotice("serverGone", "serverFull");
  else notice(wait.why === "BusyError" ? "serverFull" : "serverGone", { seconds: wait.seconds });
}

/** Says what went wrong. name: of the recording; again: what tries it once more, where that may help. */
export function tell(error, name = "", again = null) {
  const canTry = again !== null && error.kind === "GoneError";
  notice(...explain(error, name), canTry ? { key: "tryAgain", run: again } : null);
}

/** The message for an error of an engine, of the microphone or of decoding: [key, values]. */
export function explain(error, name = "") {
  const cause = error.cause?.name;
  if (error.kind === "NoWebAssembly") return ["noWebAssembly", {}];
  if (error.kind === "MicrophoneError") {
    if (!window.isSecureContext) return ["noSecureContext", {}];
    if (cause === "NotAllowedError") return ["noMicrophonePermission", {}];
    if (cause === "NotFoundError") return ["noMicrophone", {}];
    return ["microphoneBusy", {}];
  }
  if (error.kind === "EmptyAudioError") return ["emptyFile", { file: name }];
  if (/^(UnknownFormat|InvalidSamples|Audio|Decode|CorruptAudio|NoAudio)\w*Error$/.test(error.kind ?? "")) {
    return ["cannotDecode", { file: name }];
  }
  if (error.kind === "GoneError") return ["serverGaveUp", {}];
  if (error.kind === "AccessError") return ["tokenWrong", {}];
  if (/^Model|^RuntimeError$/.test(error.kind ?? "")) return ["modelNotLoading", { message: error.message }];
  if (error.kind) return ["serverSays", { message: error.message }];
  return ["unknown", { message: error.message ?? String(error) }];
}
