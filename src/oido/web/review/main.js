// SPDX-License-Identifier: Apache-2.0

/*
 * The review: a place is shown and played, a key says what it is, and the next one is there. Answers are sent behind
 * the reviewer's back, in order; none is lost if that does not work.
 */

import { byId } from "../ui/elements.js";
import * as language from "../ui/language.js";
import { recall, recallToken, remember, rememberToken } from "../ui/memory.js";
import { Player } from "../ui/player.js";
import { isDark, onTheme, startTheme, switchTheme } from "../ui/theme.js";
import { STEP_SECONDS } from "./clip.js";
import { showLearning } from "./learning.js";
import { Outbox } from "./outbox.js";
import { Picture } from "./picture.js";
import { Queue } from "./queue.js";
import { ReviewServer, ServerProblem } from "./server.js";
import { t } from "./texts.js";

/** @import { About, Item, Learning, Progress, State, Verdict } from "./server.js" */
/** @import { Entry } from "./queue.js" */
/** @import { Session } from "../ui/session.js" */

const { clock, nameOf, scoreText } = language;
const AROUND_SECONDS = 0.25;
const PACE_MILLISECONDS = 60_000;
const LEAST_FOR_PACE = 5;

const server = new ReviewServer();
const picture = new Picture(byId("picture", HTMLCanvasElement));
/** @type {Queue} */
let queue;
/** @type {Outbox} */
let outbox;
/** @type {About} */
let about;
/** @type {Progress | null} */
let progress = null;
/** @type {Learning | null} */
let learning = null;
/** The entry whose sound is loaded, and when it begins in its recording. @type {{entry: Entry, start: number} | null} */
let loaded = null;
let isReady = false;
let isExporting = false;
/** @type {number[]} */
let answeredAt = [];

const player = new Player(byId("audio", HTMLAudioElement), {
  onTime: (seconds) => picture.playAt(seconds),
  onChange: () => {},
});

// --- what is asked about

/** Shows the current place, and plays it when its sound is there. */
async function show() {
  const entry = queue.current;
  byId("asked").hidden = entry === null;
  byId("done").hidden = entry !== null || queue.mayHaveMore;
  player.pause();
  isReady = false;
  loaded = null;
  delete document.body.dataset.ready;
  document.body.dataset.shown = entry?.item.id ?? "";
  if (entry === null) return;
  renderQuestion(entry);
  byId("sound-text").textContent = t("loading");
  byId("sound-text").hidden = false;
  try {
    const clip = await queue.clipOf(entry);
    if (queue.current !== entry || entry.clip === null || (await entry.clip) !== clip) return;
    byId("sound-text").hidden = true;
    picture.show(entry.item, clip);
    player.load(/** @type {Session} */ ({ audio: clip.audio, file: clip.file })); // all that it uses
    loaded = { entry, start: clip.start };
    void play(entry.more.before + entry.more.after > 0);
  } catch (error) {
    entry.clip = null; // it may be there the next time
    if (queue.current !== entry) return;
    picture.clear();
    byId("sound-text").textContent = t("noSound", { reason: reasonOf(error) });
  }
  isReady = true;
  document.body.dataset.ready = entry.item.id;
}

/**
 * The place with a little around it, or all that is shown.
 * @param {boolean} [isWhole]
 */
async function play(isWhole = false) {
  if (loaded === null) {
    if (isReady) await show();
    return;
  }
  const { entry, start } = loaded;
  const from = isWhole ? 0 : Math.max(0, entry.item.start - AROUND_SECONDS - start);
  const until = isWhole ? Infinity : entry.item.end + AROUND_SECONDS - start;
  try {
    await player.play(from, until);
    if (document.body.dataset.silent) hideNotice();
    delete document.body.dataset.silent;
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    if (error.name !== "NotAllowedError") return;
    document.body.dataset.silent = "true";
    showNotice(t("pressSpace"));
  }
}

/**
 * More of the recording before or behind the place.
 * @param {"before" | "after"} side
 */
function widen(side) {
  const entry = queue.current;
  if (entry === null) return;
  entry.more = { ...entry.more, [side]: entry.more[side] + STEP_SECONDS };
  entry.clip = null;
  void show();
}

/** @param {1 | -1} step */
function go(step) {
  if (step < 0) queue.back();
  else queue.forward();
  void show();
  void fill();
}

// --- what is said of it

/**
 * @param {Verdict} verdict
 * @param {string | null} [label] with "no": what it is instead
 */
function answer(verdict, label = null) {
  const entry = queue.current;
  if (entry === null || !isReady) return; // what nobody has seen yet gets no answer
  const other = label === entry.item.label ? null : label;
  const said = label !== null && other === null ? "yes" : verdict;
  Object.assign(entry, { verdict: said, label: other, isStored: false });
  answeredAt.push(performance.now());
  outbox.add({ entry, verdict: said, label: other });
  queue.toNextOpen();
  void show();
  void fill();
  renderProgress();
}

async function undo() {
  const unsent = outbox.takeBack();
  if (unsent !== null) {
    unsent.entry.verdict = null;
    undone(unsent.entry.item, unsent.verdict);
    return;
  }
  if (!(await outbox.send())) return;
  try {
    const state = await server.undo();
    onState(state);
    const item = state.items?.[0];
    if (item === undefined) {
      speak(t("nothingToUndo"));
      showNotice(t("nothingToUndo"));
      return;
    }
    queue.returnTo(item);
    const entry = queue.current;
    const before = entry?.verdict ?? null;
    if (entry !== null) Object.assign(entry, { verdict: null, label: null, isStored: false });
    undone(item, before);
  } catch (error) {
    onProblem(error);
  }
}

/**
 * @param {Item} item
 * @param {Verdict | null} verdict
 */
function undone(item, verdict) {
  answeredAt.pop();
  queue.returnTo(item);
  speak(t("undone", { verdict: verdict === null ? "?" : t(verdict), label: nameOf(item.label) }));
  void show();
  renderProgress();
}

/** Undoing waits for the answers before it, so one undoes at a time. */
let lastUndo = Promise.resolve();
function undoInTurn() {
  lastUndo = lastUndo.then(undo);
}

// --- the server

async function fill() {
  try {
    await queue.fill();
    await showIfIdle();
  } catch (error) {
    onProblem(error);
  }
}

/** Where nothing is shown: places may have come, or there are none. */
async function showIfIdle() {
  if (!document.body.dataset.shown && byId("sign-in").hidden) await show();
}

/** @param {State} state */
function onState(state) {
  ({ progress, learning } = state);
  renderProgress();
  showLearning(learning);
}

/** @param {unknown} error null: all is well again */
function onProblem(error) {
  renderProgress();
  if (error === null) {
    if (byId("notice-retry").hidden === false) hideNotice();
    return;
  }
  if (error instanceof ServerProblem && error.status === 401) {
    askWho(true);
    return;
  }
  const n = outbox.size;
  const rest = n === 0 ? "" : n === 1 ? t("unsavedOne") : t("unsaved", { n });
  showNotice(`${reasonOf(error)} ${rest}`.trim(), true);
}

/** @param {unknown} error */
function reasonOf(error) {
  if (error instanceof ServerProblem) return error.status === 0 ? t("noServer") : error.message;
  if (error instanceof Error) return error.message;
  throw error;
}

async function retry() {
  hideNotice();
  if (await outbox.send()) await fill();
}

async function exportModel() {
  if (isExporting) return;
  isExporting = true;
  showNotice(t("exporting"));
  try {
    const state = await server.export();
    onState(state);
    showNotice(t("exported", { file: state.file ?? "" }));
  } catch (error) {
    onProblem(error);
  } finally {
    isExporting = false;
  }
}

// --- what is seen

/** @param {Entry} entry */
function renderQuestion({ item, verdict, label }) {
  byId("question").textContent = t("question", { label: nameOf(item.label) });
  byId("found").textContent = t("found", { value: scoreText(item.score) });
  const { recording: file, channel } = item;
  const recording = channel === null ? file : t("ofChannel", { recording: file, channel });
  const span = { recording, start: clock(item.start), end: clock(item.end) };
  const date = item.startAt && new Date(item.startAt);
  byId("place").textContent = date
    ? t("placeAt", { ...span, date: date.toLocaleString(language.currentLanguage(), { timeZone: "UTC", timeZoneName: "short" }) })
    : t("place", span);
  const said = verdict === null ? "" : t(verdict) + (label === null ? "" : ` (${nameOf(label)})`);
  byId("verdict").textContent = said && t("answered", { verdict: said });
  for (const name of /** @type {const} */ (["yes", "no", "unsure"])) {
    byId(name).setAttribute("aria-pressed", String(verdict === name));
  }
  for (const button of byId("others").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(label !== null && button.dataset.label === label));
  }
}

function renderOthers() {
  byId("others-group").hidden = about.others.length === 0;
  byId("others").replaceChildren(
    ...about.others.map((label, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.label = label;
      const key = document.createElement("kbd");
      key.textContent = String(place + 1);
      button.append(key, ` ${nameOf(label)}`);
      button.addEventListener("click", () => answer("no", label));
      return button;
    }),
  );
}

function renderProgress() {
  if (progress === null) return;
  byId("progress").hidden = false;
  const { done, total, yours, severalAnswered: several, alike } = progress;
  const now = performance.now();
  answeredAt = answeredAt.filter((at) => now - at < PACE_MILLISECONDS);
  const texts = [];
  const bar = byId("progress-bar", HTMLProgressElement);
  bar.hidden = total === null;
  if (done !== null && total !== null) {
    bar.value = total === 0 ? 1 : done / total;
    texts.push(t("progress", { done, total }));
  }
  texts.push(yours === 1 ? t("progressOne") : t("progressYours", { n: yours }));
  if (answeredAt.length >= LEAST_FOR_PACE) {
    const span = Math.max(1, now - answeredAt[0]);
    texts.push(t("pace", { n: Math.round(((answeredAt.length - 1) * 60_000) / span) }));
  }
  byId("progress-text").textContent = texts.join(" · ");
  byId("agreement").hidden = several === 0;
  byId("agreement").textContent = several === 0 ? "" : t("agreement", { n: several, alike });
}

/**
 * @param {string} text
 * @param {boolean} [canRetry]
 */
function showNotice(text, canRetry = false) {
  byId("notice-text").textContent = text;
  byId("notice-retry").hidden = !canRetry;
  byId("notice").hidden = false;
}

function hideNotice() {
  byId("notice").hidden = true;
  byId("notice-retry").hidden = true;
}

/** @param {string} text for who does not see the page */
function speak(text) {
  byId("say").textContent = text;
}

function render() {
  language.translatePage();
  byId("language").textContent = t("language");
  byId("language").setAttribute("aria-label", t("languageLabel"));
  renderTheme();
  byId("who").textContent = server.who;
  if (about === undefined) return;
  renderOthers();
  const entry = queue?.current ?? null;
  if (entry !== null) renderQuestion(entry);
  picture.repaint();
  renderProgress();
  showLearning(learning);
}

function renderTheme() {
  const text = t(isDark() ? "themeLight" : "themeDark");
  byId("theme").setAttribute("aria-label", text);
  byId("theme").title = text;
}

// --- who answers

/** @param {boolean} [isRefused] the token that was tried was the wrong one */
function askWho(isRefused = false) {
  byId("sign-in").hidden = false;
  byId("asked").hidden = true;
  byId("token-field").hidden = !about.token;
  byId("name", HTMLInputElement).value = recall("reviewer") ?? about.by ?? "";
  byId("token", HTMLInputElement).value = recallToken();
  if (isRefused) showNotice(t("tokenWrong"));
  byId(isRefused ? "token" : "name", HTMLInputElement).select();
}

/** @param {SubmitEvent} event */
function signIn(event) {
  event.preventDefault();
  const name = byId("name", HTMLInputElement).value.trim();
  if (name === "") return;
  remember("reviewer", name);
  rememberToken(byId("token", HTMLInputElement).value.trim());
  byId("sign-in").hidden = true;
  hideNotice();
  void begin(name);
}

/** @param {string} name */
async function begin(name) {
  server.who = name;
  byId("who").textContent = name;
  if (queue !== undefined) {
    void retry();
    if (queue.current !== null) void show();
    return;
  }
  queue = new Queue(server, { learns: about.learns, onState });
  outbox = new Outbox(server, { onState, onProblem });
  await firstItems();
}

async function firstItems() {
  try {
    await queue.askAgain();
    await show();
  } catch (error) {
    onProblem(error);
  }
}

// --- keys and buttons

/** @type {Record<string, () => void>} */
const KEYS = {
  y: () => answer("yes"),
  n: () => answer("no"),
  u: () => answer("unsure"),
  j: () => go(1),
  k: () => go(-1),
  z: undoInTurn,
  " ": () => void play(wasWidened()),
  arrowleft: () => widen("before"),
  arrowright: () => widen("after"),
  escape: hideNotice,
};

function wasWidened() {
  const more = queue.current?.more;
  return more !== undefined && more.before + more.after > 0;
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target instanceof HTMLInputElement) return;
  if (queue === undefined || !byId("sign-in").hidden) return;
  const key = event.key.toLowerCase();
  if (key === " " && event.target instanceof HTMLButtonElement) return; // it is pressed by that
  const other = /^[1-9]$/.test(key) ? about.others[Number(key) - 1] : undefined;
  const action = other === undefined ? KEYS[key] : () => answer("no", other);
  if (action === undefined) return;
  event.preventDefault();
  if (!event.repeat) action(); // a key that is held down is one answer
}

function listen() {
  document.addEventListener("keydown", onKey);
  /** @type {[string, () => void][]} */
  const buttons = [
    ["yes", KEYS.y],
    ["no", KEYS.n],
    ["unsure", KEYS.u],
    ["play", KEYS[" "]],
    ["earlier", KEYS.arrowleft],
    ["later", KEYS.arrowright],
    ["previous", KEYS.k],
    ["next", KEYS.j],
    ["undo", undoInTurn],
    ["done-undo", undoInTurn],
    ["more", () => void firstItems()],
    ["export", () => void exportModel()],
    ["notice-retry", () => void retry()],
    ["notice-close", hideNotice],
    ["theme", switchTheme],
    ["language", () => language.setLanguage(language.currentLanguage() === "en" ? "es" : "en")],
  ];
  for (const [id, action] of buttons) byId(id).addEventListener("click", action);
  // After a click, the keys are the page's again; the keyboard's own focus stays.
  document.addEventListener("click", ({ detail, target }) => {
    const button = target instanceof Element ? target.closest("button") : null;
    if (detail > 0) button?.blur();
  });
  byId("sign-in", HTMLFormElement).addEventListener("submit", signIn);
  window.addEventListener("beforeunload", (event) => {
    if (outbox?.size) event.preventDefault();
  });
  onTheme(() => {
    renderTheme();
    picture.repaint();
  });
  language.onLanguage(render);
  language.onLanguage(() => {
    if (learning !== null) server.progress().then(onState, onProblem);
  });
}

async function startPage() {
  startTheme();
  listen();
  render();
  try {
    about = await server.about();
    const pairs = Object.entries(about.names).map(async ([locale, url]) => [locale, await server.names(url)]);
    language.setTranslations(Object.fromEntries(await Promise.all(pairs)));
  } catch (error) {
    showNotice(reasonOf(error));
    return;
  }
  render();
  if (about.token || about.by === null) askWho();
  else await begin(about.by);
}

void startPage();
