// SPDX-License-Identifier: Apache-2.0

/* The page: what is pressed, what is shown, and what it hears with. */

import { kindOf, messageOf } from "./core/errors.js";
import { registerOffline, onInstallable } from "./core/register.js";
import { Bars } from "./ui/bars.js";
import { busyWith, progress } from "./ui/busy.js";
import { Choices } from "./ui/choices.js";
import { onDrop } from "./ui/dropping.js";
import { byId } from "./ui/elements.js";
import { Found } from "./ui/found.js";
import { clock, currentLanguage, onLanguage, secondsText, setLanguage, t, translatePage } from "./ui/language.js";
import { recall } from "./ui/memory.js";
import { Listening } from "./ui/microphone.js";
import { Now } from "./ui/now.js";
import { clearNotice, lastingNotice, notice, say, settle, showWaiting, tell } from "./ui/notices.js";
import { Picture } from "./ui/picture.js";
import { hearFile } from "./ui/recording.js";
import { Sending } from "./ui/sending.js";
import { isDark, onTheme, startTheme, switchTheme } from "./ui/theme.js";

/** @import { Choice, StreamState, WindowScores } from "./types.js" */
/** @import { Values } from "./ui/language.js" */
/** @import { Action } from "./ui/notices.js" */
/** @import { Offer } from "./ui/sending.js" */
/** @import { Session } from "./ui/session.js" */

/** @type {Session | null} */
let session = null;
/** @type {Listening | null} */
let listening = null;
/** What is heard, or was last; file null: the microphone. @type {(Choice & {file: File | null}) | null} */
let work = null;
/** @type {AbortController | null} */
let underWay = null;
/** What its button promised when the dialog for a file was opened. @type {boolean | undefined} */
let openSends;
let heardIn = 0;
/** Files that the server got. @type {WeakSet<File>} */
const sent = new WeakSet();
let lastDraw = 0;

const now = new Now(new Bars(byId("bars"), 5));
const found = new Found({ onPlay: (event) => picture.play(event.startTime, event.endTime), onChange: eventsChanged });
const picture = new Picture({
  onPlaying: (isPlaying) => {
    listening?.pause(isPlaying);
    renderStatus();
  },
  onTime: (seconds) => {
    found.mark(seconds);
    if (session !== null && (!listening || picture.isPlaying)) now.at(session, seconds);
  },
});
const sending = new Sending();
const choices = new Choices({
  onChange: () => {
    if (work === null) clearNotice();
    else clearNotice("notSent", "notSentMicrophone", "stoppedPlace", "stoppedModel");
    if (work !== null && !choices.isChosen(work)) choseOther(work);
    render();
    say(sending.words);
  },
  onTrouble: (error) => {
    if (error === null) {
      settle("models");
      return;
    }
    clearNotice(); // this one answers what was done last
    /** @type {Action} */
    const again = { key: "tryAgain", run: begin };
    const kind = kindOf(error);
    if (kind === "DeviceError") notice("modelNeedsDevice");
    else if (kind !== "AccessError") lastingNotice("models", "noModels", {}, again);
    else lastingNotice("models", messageOf(error) === "no token" ? "tokenWanted" : "tokenWrong");
    render();
  },
});

async function begin() {
  await choices.load();
  if (choices.language && !recall("language")) setLanguage(choices.language);
  render();
}

/** Whether there is a model to hear by; if not, the page says why. */
async function isReady() {
  await choices.loaded;
  if (!choices.isReady) await begin();
  return choices.isReady;
}

/**
 * Another model or place than the work's. This device hears a recording again. To the server nothing goes by
 * a choice: what was heard stays on the screen, what is heard goes on as it was begun, and `offer` has a press.
 * @param {Choice & {file: File | null}} earlier
 */
function choseOther({ file, where }) {
  const isLeaving = where === "server" && !choices.isSending;
  if (listening && (where === "server" || !choices.isSending)) {
    stop();
    notice(isLeaving ? "stoppedPlace" : "stoppedModel");
  } else if (!choices.isSending) {
    const isPending = underWay !== null;
    underWay?.abort(); // at once: it may be on its way to the server
    if (file) open(file, false);
    else if (isPending) listen(false);
  }
}

/**
 * What stayed here, or went to another model, and can be sent by a press.
 * @returns {Offer | null}
 */
function offer() {
  if (work === null || !choices.isSending || choices.isChosen(work)) return null;
  const { file, where, model } = work;
  if (file) {
    const key = where === "device" ? "fromDevice" : "fromServer";
    const action = sent.has(file) ? "sendAgain" : "sendRecording";
    return { key, values: { model: model.name }, action, run: () => open(file, true) };
  }
  if (where !== "device" || (listening === null && underWay === null)) return null;
  return { key: "stillHere", values: {}, action: "sendMicrophone", run: () => listen(true) };
}

/**
 * New work, by what is chosen now; what was under way is given up. Gives its AbortController.
 * @param {File | null} file
 */
async function startWork(file) {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  work = { file, ...choices.choice };
  if (listening) await stop();
  if (mine.signal.aborted) return mine;
  clearNotice();
  show(null);
  setState("busy");
  busyWith("loadingModel");
  return mine;
}

function giveUp() {
  work = null;
  setState("empty");
}

/**
 * @param {unknown} error
 * @param {string} [name]
 * @param {Action | null} [again]
 */
function fail(error, name, again) {
  giveUp();
  if (kindOf(error) === "AccessError") choices.refused();
  else tell(error, name, again);
}

// --- Recordings

/**
 * Hears a file. maySend: what was pressed said that it is sent; else the server does not get it.
 * @param {File} file
 * @param {boolean} [maySend]
 */
async function open(file, maySend = choices.isSending) {
  if (file.name.toLowerCase().endsWith(".tflite")) {
    choices.useOwn(file);
    return;
  }
  if (!(await isReady())) return;
  if (choices.isSending && !maySend) {
    /** @type {Action} */
    const send = { key: "sendRecording", run: () => open(file, true) };
    notice("notSent", { file: file.name, server: choices.serverName }, send);
    return;
  }
  const mine = await startWork(file);
  if (mine.signal.aborted || work === null) return;
  const choice = work;
  const { where } = choice;
  let started = 0;
  try {
    const engine = await choices.engine(choice, progress);
    const { session: heard, problem } = await hearFile(file, {
      engine,
      signal: mine.signal,
      onStage: (stage) => {
        started = performance.now();
        busyWith(stage, { file: file.name });
        if (where === "server" && stage === "hearing") sent.add(file);
      },
      onProgress: progress,
      onWait: showWaiting,
    });
    if (mine.signal.aborted) return;
    heardIn = (performance.now() - started) / 1000;
    show(heard);
    setState("done");
    say(`${t("heardOnly", heardValues(heard))}. ${found.countText}`);
    if (heard.damage) notice("serverSays", { message: heard.damage });
    else if (problem) notice("noPicture", { file: file.name });
  } catch (error) {
    if (mine.signal.aborted || kindOf(error) === "AbortError") return;
    const isServer = where === "server";
    fail(error, file.name, { key: isServer ? "sendAgain" : "tryAgain", run: () => open(file, isServer) });
  } finally {
    if (underWay === mine) underWay = null;
  }
}

/**
 * @param {Session} heard
 * @returns {Values}
 */
function heardValues(heard) {
  return { file: heard.name, duration: clock(heard.duration), seconds: secondsText(Math.max(0.1, heardIn)) };
}

// --- The microphone

/**
 * Hears the microphone. maySend: as for `open`.
 * @param {boolean} [maySend]
 */
async function listen(maySend = choices.isSending) {
  if (!(await isReady())) return;
  if (choices.isSending && !maySend) {
    /** @type {Action} */
    const send = { key: "sendMicrophone", run: () => listen(true) };
    notice("notSentMicrophone", { server: choices.serverName }, send);
    return;
  }
  const mine = await startWork(null);
  if (mine.signal.aborted || work === null) return;
  try {
    const engine = await choices.engine(work, progress);
    if (mine.signal.aborted) return;
    const next = new Listening({
      engine,
      name: "microphone",
      onWindow: heardWindow,
      onSamples: heardSamples,
      onState: streamState,
      onEnded: () => stop().then(() => notice("noMicrophone")),
    });
    await next.start();
    if (mine.signal.aborted) {
      await next.stop();
      return;
    }
    listening = next;
    show(next.session);
    setState("live");
    say(t("waiting"));
  } catch (error) {
    if (mine.signal.aborted || kindOf(error) === "AbortError") return;
    fail(error);
  } finally {
    if (underWay === mine) underWay = null;
  }
}

async function stop() {
  const ending = listening;
  listening = null;
  if (ending === null) return;
  setState("done");
  clearNotice("serverGone", "serverFull", "behind");
  try {
    await ending.stop();
  } catch {
    // The engine was closed under it (another model was chosen): what was heard stays.
  }
  if (session === null || session !== ending.session) return;
  picture.show(session);
  found.show(session);
  now.whole(session);
  renderStatus();
  say(`${t("stopped")} ${found.countText}`);
}

/**
 * @param {Session} heard
 * @param {WindowScores} window
 */
function heardWindow(heard, window) {
  if (heard !== session || document.hidden) return;
  for (const event of heard.ongoing) found.announce(event);
  if (!picture.isPlaying) now.follow(heard, window.index);
  found.refresh();
}

/**
 * @param {Session} heard
 * @param {number} level
 */
function heardSamples(heard, level) {
  const time = performance.now();
  if (heard !== session || document.hidden || time - lastDraw < 60) return;
  lastDraw = time;
  // 60 dB below full scale and quieter is nothing to see.
  const shown = Math.max(0, Math.min(1, 1 + Math.log10(level + 1e-9) / 3));
  byId("level").style.setProperty("--level", shown.toFixed(2));
  picture.moved();
  renderStatus();
}

/** @param {StreamState} state */
function streamState({ waiting = null, failure = null, behindSeconds }) {
  if (failure) {
    stop();
    if (failure.kind === "AccessError") choices.refused();
    else tell(failure);
  } else if (waiting) {
    showWaiting(waiting);
  } else if (behindSeconds > 2) {
    notice("behind", { seconds: secondsText(behindSeconds) });
  } else {
    clearNotice("serverGone", "serverFull", "behind");
  }
}

// --- What is shown

/** @param {Session | null} next */
function show(next) {
  session = next;
  picture.show(next);
  found.show(next);
  if (next === null) now.clear();
  else if (next.isOver) now.whole(next);
  else now.start();
  renderStatus();
}

function eventsChanged() {
  picture.redraw();
  if (session?.isOver && !picture.isPlaying) now.whole(session);
}

/** @param {"empty" | "busy" | "live" | "done"} state */
function setState(state) {
  document.body.dataset.state = state;
  byId("busy").hidden = state !== "busy";
  const isShown = session !== null && (state === "live" || state === "done");
  for (const id of ["now", "picture", "found"]) byId(id).hidden = !isShown;
  render();
}

function render() {
  const isLive = document.body.dataset.state === "live";
  byId("listen-text").textContent = t(isLive ? "stop" : choices.isSending ? "listenSend" : "listen");
  byId("language").textContent = t("language");
  byId("language").lang = currentLanguage() === "en" ? "es" : "en";
  byId("language").title = t("languageLabel");
  byId("theme").setAttribute("aria-label", t(isDark() ? "themeLight" : "themeDark"));
  byId("theme").title = t(isDark() ? "themeLight" : "themeDark");
  sending.show({
    isReady: choices.isReady,
    isNext: choices.isSending,
    server: choices.serverName,
    shown: work && (work.where === "server" || (work.file && sent.has(work.file)) ? "went" : "stayed"),
    offer: offer(),
  });
  renderStatus();
}

function renderStatus() {
  if (session === null) return;
  const duration = clock(session.duration, session.isOver ? 1 : 0);
  let text = t("heard", heardValues(session));
  if (session.isLive) text = t(session.isOver ? "listened" : "listening", { duration });
  if (listening && picture.isPlaying) text = t("paused");
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

// --- What is pressed

byId("listen").addEventListener("click", () => (listening ? stop() : listen()));
byId("open").addEventListener("click", () => {
  openSends = choices.isSending;
  fileInput.click();
});
const fileInput = byId("file", HTMLInputElement);
fileInput.addEventListener("change", () => {
  const [file] = fileInput.files ?? [];
  if (file) open(file, openSends);
  openSends = undefined;
  fileInput.value = "";
});
byId("busy-cancel").addEventListener("click", () => {
  underWay?.abort();
  giveUp();
  clearNotice();
  byId("listen").focus();
});
byId("language").addEventListener("click", () => setLanguage(currentLanguage() === "en" ? "es" : "en"));
byId("theme").addEventListener("click", switchTheme);
onDrop(open, (file) => open(file, false)); // nothing at the keyboard says that a paste is sent

onLanguage(() => {
  translatePage();
  render();
  if (session === null) return;
  found.refresh();
  picture.redraw();
  now.again(session);
});
onTheme(() => {
  picture.repaint();
  render();
});

startTheme();
translatePage();
setState("empty");
begin();
registerOffline({ onUpdate: (change) => lastingNotice("update", "update", {}, { key: "reload", run: change }) });
onInstallable((install) => {
  const button = byId("install");
  button.hidden = install === null;
  button.onclick = install;
});
