// SPDX-License-Identifier: Apache-2.0

/* The page: what is pressed, what is shown, and what it hears with. */

import { registerOffline, onInstallable } from "./core/register.js";
import { Bars } from "./ui/bars.js";
import { busyWith, progress } from "./ui/busy.js";
import { Choices } from "./ui/choices.js";
import { Found } from "./ui/found.js";
import { onDrop } from "./ui/dropping.js";
import { clock, currentLanguage, onLanguage, secondsText, setLanguage, t, translatePage } from "./ui/language.js";
import { recall } from "./ui/memory.js";
import { Listening } from "./ui/microphone.js";
import { Now } from "./ui/now.js";
import { clearNotice, notice, say, showWaiting, tell } from "./ui/notices.js";
import { Picture } from "./ui/picture.js";
import { hearFile } from "./ui/recording.js";
import { isDark, onTheme, startTheme, switchTheme } from "./ui/theme.js";

const byId = (id) => document.getElementById(id);

let session = null;
let listening = null;
let lastFile = null;
let underWay = null; // an AbortController
let heardIn = 0;
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
    if (!listening || picture.isPlaying) now.at(session, seconds);
  },
});
const choices = new Choices({
  onChange: () => {
    renderBadge();
    if (listening) stop();
    else if (lastFile) open(lastFile);
    else clearNotice();
  },
  onTrouble: (error) => {
    const again = { key: "tryAgain", run: begin };
    if (error.kind === "AccessError") notice(error.message === "no token" ? "tokenWanted" : "tokenWrong");
    else if (error.kind === "DeviceError") notice("modelNeedsDevice");
    else notice("noModels", {}, again);
    renderBadge();
  },
});

async function begin() {
  clearNotice();
  await choices.load();
  if (choices.language && !recall("language")) setLanguage(choices.language);
  renderBadge();
}

// --- Recordings

async function open(file) {
  if (file.name.toLowerCase().endsWith(".tflite")) {
    choices.useOwn(file);
    return;
  }
  if (listening) await stop();
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  lastFile = file;
  clearNotice();
  show(null);
  setState("busy");
  let started = 0;
  try {
    busyWith("loadingModel");
    const engine = await choices.engine(progress);
    const { session: heard, problem } = await hearFile(file, {
      engine,
      signal: mine.signal,
      onStage: (stage) => {
        started = performance.now();
        busyWith(stage, { file: file.name });
      },
      onProgress: progress,
      onWait: showWaiting,
    });
    if (mine.signal.aborted) return;
    heardIn = (performance.now() - started) / 1000;
    show(heard);
    setState("done");
    say(`${t("heardOnly", heardValues())}. ${found.countText}`);
    if (heard.damage) notice("serverSays", { message: heard.damage });
    else if (problem) notice("noPicture", { file: file.name });
  } catch (error) {
    if (mine.signal.aborted || error.kind === "AbortError") return;
    lastFile = null;
    setState("empty");
    tell(error, file.name, () => open(file));
  } finally {
    if (underWay === mine) underWay = null;
  }
}

function heardValues() {
  return { file: session.name, duration: clock(session.duration), seconds: secondsText(Math.max(0.1, heardIn)) };
}

// --- The microphone

async function listen() {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  lastFile = null;
  clearNotice();
  show(null);
  setState("busy");
  try {
    busyWith("loadingModel");
    const engine = await choices.engine(progress);
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
    if (mine.signal.aborted) return;
    setState("empty");
    tell(error);
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
  if (session !== ending.session) return;
  picture.show(session);
  found.show(session);
  now.whole(session);
  renderStatus();
  say(`${t("stopped")} ${found.countText}`);
}

function heardWindow(heard, window) {
  if (heard !== session || document.hidden) return;
  for (const event of heard.ongoing) found.announce(event);
  if (!picture.isPlaying) now.follow(heard, window.index);
  found.refresh();
}

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

function streamState({ waiting = null, failure = null, behindSeconds }) {
  if (failure) {
    stop();
    tell(failure);
  } else if (waiting) {
    showWaiting(waiting);
  } else if (behindSeconds > 2) {
    notice("behind", { seconds: secondsText(behindSeconds) });
  } else {
    clearNotice("serverGone", "serverFull", "behind");
  }
}

// --- What is shown

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

function setState(state) {
  document.body.dataset.state = state;
  byId("busy").hidden = state !== "busy";
  const isShown = session !== null && (state === "live" || state === "done");
  for (const id of ["now", "picture", "found"]) byId(id).hidden = !isShown;
  render();
}

function render() {
  const isLive = document.body.dataset.state === "live";
  byId("listen-text").textContent = t(isLive ? "stop" : "listen");
  byId("language").textContent = t("language");
  byId("language").lang = currentLanguage() === "en" ? "es" : "en";
  byId("language").title = t("languageLabel");
  byId("theme").setAttribute("aria-label", t(isDark() ? "themeLight" : "themeDark"));
  byId("theme").title = t(isDark() ? "themeLight" : "themeDark");
  renderBadge();
  renderStatus();
}

function renderBadge() {
  const badge = byId("badge");
  badge.hidden = !choices.isReady;
  badge.dataset.where = choices.where;
  badge.textContent = choices.where === "device" ? t("stays") : t("sent", { server: choices.serverName });
}

function renderStatus() {
  if (session === null) return;
  const duration = clock(session.duration, session.isOver ? 1 : 0);
  let text = t("heard", heardValues());
  if (session.isLive) text = t(session.isOver ? "listened" : "listening", { duration });
  if (listening && picture.isPlaying) text = t("paused");
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

// --- What is pressed

byId("listen").addEventListener("click", () => (listening ? stop() : listen()));
byId("open").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open(target.files[0]);
  target.value = "";
});
byId("busy-cancel").addEventListener("click", () => {
  underWay?.abort();
  lastFile = null;
  setState("empty");
  clearNotice();
  byId("listen").focus();
});
byId("language").addEventListener("click", () => setLanguage(currentLanguage() === "en" ? "es" : "en"));
byId("theme").addEventListener("click", switchTheme);
onDrop(open);

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
registerOffline({ onUpdate: (change) => notice("update", {}, { key: "reload", run: change }) });
onInstallable((install) => {
  byId("install").hidden = install === null;
  byId("install").onclick = install;
});
