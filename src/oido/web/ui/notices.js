// SPDX-License-Identifier: Apache-2.0

/*
 * What the page has to say: one message at a time, and a quiet voice for screen readers. A passing message
 * answers what was just done, and goes with the next thing that is done. A lasting one stays behind it, and
 * comes back, until what it is about is settled.
 */

import { onLanguage, t } from "./language.js";

const SPEAK_EVERY_MS = 4000;

const box = document.getElementById("notice");
const text = document.getElementById("notice-text");
const button = document.getElementById("notice-action");
const alarm = document.getElementById("alarm");
const voice = document.getElementById("say");

/** What lasting messages are about; those of the first are shown before others. */
const SUBJECTS = ["models", "update"];

/** Messages that count seconds: they are not read aloud again at each change. */
const COUNTING = new Set(["serverGone", "serverFull", "behind"]);

let passing = null; // {key, values, action}
const lasting = new Map(); // by subject

/** Shows a message. action: {key, run}, a button with it. It is read aloud at once. */
export function notice(key, values = {}, action = null) {
  const isSameCount = passing?.key === key && COUNTING.has(key);
  passing = { key, values, action };
  render();
  if (!isSameCount) alarm.textContent = t(key, values);
  // Who is further down must not miss the answer to what was just done there.
  if (!COUNTING.has(key)) box.scrollIntoView({ block: "nearest" });
}

/** Takes the passing message away; with keys, only if it is one of them. */
export function clearNotice(...keys) {
  if (passing === null || (keys.length && !keys.includes(passing.key))) return;
  passing = null;
  alarm.textContent = "";
  render();
}

/** Shows a message until `settle` of its subject, or until it is closed. */
export function lastingNotice(subject, key, values = {}, action = null) {
  lasting.set(subject, { key, values, action });
  render();
  if (shown() === lasting.get(subject)) alarm.textContent = t(key, values);
}

/** Takes the lasting message about a subject away. */
export function settle(subject) {
  if (shown() === lasting.get(subject)) alarm.textContent = "";
  lasting.delete(subject);
  render();
}

function shown() {
  return passing ?? SUBJECTS.map((subject) => lasting.get(subject)).find((each) => each) ?? null;
}

function close() {
  if (passing !== null) clearNotice();
  else settle(SUBJECTS.find((subject) => lasting.has(subject)));
}

function render() {
  const message = shown();
  box.hidden = message === null;
  if (message === null) return;
  text.textContent = t(message.key, message.values);
  button.hidden = message.action === null;
  if (message.action) button.textContent = t(message.action.key);
}

document.getElementById("notice-close").addEventListener("click", close);
button.addEventListener("click", () => {
  const run = shown()?.action?.run;
  close();
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

/** Says what went wrong. name: of the recording; again: an action that may help where nobody answered. */
export function tell(error, name = "", again = null) {
  notice(...explain(error, name), error.kind === "GoneError" ? again : null);
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
  if (/^Model|^RuntimeError$/.test(error.kind ?? "")) return ["modelNotLoading", { message: error.message }];
  if (error.kind) return ["serverSays", { message: error.message }];
  return ["unknown", { message: error.message ?? String(error) }];
}
