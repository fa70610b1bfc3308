// SPDX-License-Identifier: Apache-2.0

/*
 * What the page has to say: one message at a time, and a quiet voice for screen readers. A passing message
 * answers what was just done, and goes with the next thing that is done. A lasting one stays behind it, and
 * comes back, until what it is about is settled.
 */

import { OidoError, kindOf, messageOf } from "../core/errors.js";
import { byId } from "./elements.js";
import { currentLanguage, onLanguage, t } from "./language.js";

/** @import { Waiting } from "../types.js" */
/** @import { Key, Values } from "./language.js" */

const SPEAK_EVERY_MS = 4000;

const box = byId("notice");
const text = byId("notice-text");
const button = byId("notice-action");
const alarm = byId("alarm");
const voice = byId("say");

/**
 * A button of a message, by the key of its text.
 * @typedef {{key: Key, run: () => void}} Action
 *
 * @typedef {{key: Key, values: Values, action: Action | null}} Message
 *
 * @typedef {"models" | "microphone" | "update"} Subject
 */

/**
 * What lasting messages are about; those of the first are shown before others.
 * @type {Subject[]}
 */
const SUBJECTS = ["models", "microphone", "update"];

/**
 * Messages that count seconds: they are not read aloud again at each change.
 * @type {Set<Key>}
 */
const COUNTING = new Set(["serverGone", "serverFull", "behind"]);

/** @type {Message | null} */
let passing = null;
/** @type {Map<Subject, Message>} */
const lasting = new Map();

/**
 * Shows a message. action: {key, run}, a button with it. It is read aloud at once.
 * @param {Key} key
 * @param {Values} [values]
 * @param {Action | null} [action]
 */
export function notice(key, values = {}, action = null) {
  const isSameCount = passing?.key === key && COUNTING.has(key);
  passing = { key, values, action };
  render();
  if (isSameCount) return;
  alarm.textContent = t(key, values);
  // Who is further down must not miss the answer to what was just done there.
  box.scrollIntoView({ block: "nearest" });
}

/**
 * Takes the passing message away; with keys, only if it is one of them.
 * @param {Key[]} keys
 */
export function clearNotice(...keys) {
  if (passing === null || (keys.length && !keys.includes(passing.key))) return;
  passing = null;
  alarm.textContent = "";
  render();
}

/**
 * Shows a message until `settle` of its subject, or until it is closed.
 * @param {Subject} subject
 * @param {Key} key
 * @param {Values} [values]
 * @param {Action | null} [action]
 */
export function lastingNotice(subject, key, values = {}, action = null) {
  lasting.set(subject, { key, values, action });
  render();
  if (shown() !== lasting.get(subject)) return;
  alarm.textContent = t(key, values);
  box.scrollIntoView({ block: "nearest" });
}

/**
 * Takes the lasting message about a subject away.
 * @param {Subject} subject
 */
export function settle(subject) {
  if (shown() === lasting.get(subject)) alarm.textContent = "";
  lasting.delete(subject);
  render();
}

/** @returns {Message | null} */
function shown() {
  return passing ?? SUBJECTS.map((subject) => lasting.get(subject)).find((each) => each) ?? null;
}

function close() {
  const subject = SUBJECTS.find((each) => lasting.has(each));
  if (passing !== null) clearNotice();
  else if (subject) settle(subject);
}

function render() {
  const message = shown();
  box.hidden = message === null;
  if (message === null) return;
  text.textContent = t(message.key, message.values);
  button.hidden = message.action === null;
  if (message.action) button.textContent = t(message.action.key);
}

byId("notice-close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) close(); // no panel was closed by it
});
button.addEventListener("click", () => {
  const run = shown()?.action?.run;
  close();
  run?.();
});
onLanguage(render);

/** @type {string[]} */
let waiting = [];
let timer = 0;
let lastSpoken = 0;

/**
 * Says something to screen readers; often is too much, so what comes quickly is said together.
 * @param {string} words
 */
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

/**
 * Says that the server is asked again in a while; null: it answers. wait: {why, seconds}.
 * @param {Waiting | null} wait
 */
export function showWaiting(wait) {
  if (wait === null) clearNotice("serverGone", "serverFull");
  else notice(wait.why === "BusyError" ? "serverFull" : "serverGone", { seconds: wait.seconds });
}

/**
 * Says what went wrong. name: of the recording; again: an action that may help where nobody answered.
 * @param {unknown} error
 * @param {string} [name]
 * @param {Action | null} [again]
 */
export function tell(error, name = "", again = null) {
  notice(...explain(error, name), kindOf(error) === "GoneError" ? again : null);
}

/**
 * What a server's error is called on the page, by its kind.
 * @type {Record<string, Key>}
 */
const OF_SERVERS = { LimitError: "serverLimit", BusyError: "serverFullNow", OptionError: "serverRefuses" };

/**
 * What may be wrong with a model, by the error's kind.
 * @type {Record<string, Key>}
 */
const OF_MODELS = {
  ModelFetchError: "modelNotFetched",
  ModelFormatError: "modelFormat",
  ModelInputError: "modelInput",
  ModelNotFoundError: "modelGone",
  RuntimeError: "modelNotRunning",
};

/**
 * The message for an error of an engine, of the microphone or of decoding: [key, values]. Errors themselves speak
 * English: in that language what they say is added.
 * @param {unknown} error
 * @param {string} [name]
 * @returns {[Key, Values]}
 */
export function explain(error, name = "") {
  const details = currentLanguage() === "en" ? messageOf(error) : "";
  if (!(error instanceof OidoError)) return ["unknown", { details: bracketed(details) }];
  const { kind } = error;
  const cause = error.cause instanceof Error ? error.cause.name : undefined;
  if (kind === "NoWebAssembly") return ["noWebAssembly", {}];
  if (kind === "MicrophoneError") {
    if (!window.isSecureContext) return ["noSecureContext", {}];
    if (cause === "NotAllowedError") return ["noMicrophonePermission", {}];
    if (cause === "NotFoundError" || cause === "OverconstrainedError") return ["noMicrophone", {}];
    return ["microphoneBusy", {}];
  }
  if (kind === "AudioNotFoundError") return ["fileGone", { file: name }];
  if (kind === "EmptyAudioError") return ["emptyFile", { file: name }];
  if (/^(UnknownFormat|InvalidSamples|Audio|Decode|CorruptAudio|NoAudio)\w*Error$/.test(kind)) {
    return ["cannotDecode", { file: name }];
  }
  if (kind === "GoneError") return ["serverGaveUp", {}];
  if (/^Model|^RuntimeError$/.test(kind)) {
    const model = error.about || t("theModel");
    return ["modelNotLoading", { model, why: t(OF_MODELS[kind] ?? "modelFormat"), details: bracketed(details) }];
  }
  return ["serverSays", { why: t(OF_SERVERS[kind] ?? "serverRefuses"), details: bracketed(details) }];
}

/** @param {string} details */
function bracketed(details) {
  return details && ` (${details.replace(/[.\s]+$/, "")})`;
}
