// SPDX-License-Identifier: Apache-2.0

/* The page: what is pressed, what is shown, and what it hears with. */

import { kindOf, messageOf } from "./core/errors.js";
import { onArriving } from "./ui/arriving.js";
import { busyWith, progress } from "./ui/busy.js";
import { Choices } from "./ui/choices.js";
import { onDrop, onOpen } from "./ui/dropping.js";
import { Days } from "./ui/days.js";
import { byId } from "./ui/elements.js";
import { Examples } from "./ui/examples.js";
import { answerPresses } from "./ui/first_screen.js";
import { Jobs } from "./ui/jobs.js";
import { Keeping } from "./ui/keeping.js";
import { startInstalling } from "./ui/installing.js";
import { currentLanguage, onLanguage, secondsText, setLanguage, t, translatePage } from "./ui/language.js";
import { Linking } from "./ui/linking.js";
import { ListenButton } from "./ui/listen_button.js";
import { Live } from "./ui/live.js";
import { Microphones } from "./ui/microphones.js";
import { clearNotice, explain, lastingNotice, notice, say, settle, showWaiting, tell } from "./ui/notices.js";
import { startPanels } from "./ui/panels.js";
import { Sending } from "./ui/sending.js";
import { Shelf } from "./ui/shelf.js";
import { Machine } from "./ui/states.js";
import { heardValues, showStatus } from "./ui/status.js";
import { Tabs, entryName } from "./ui/tabs.js";
import { isDark, onTheme, switchTheme } from "./ui/theme.js";
import { Watching } from "./ui/watching.js";

/** @import { Choice, StreamState, WindowScores } from "./types.js" */
/** @import { OwnNews } from "./ui/choices.js" */
/** @import { Action } from "./ui/notices.js" */
/** @import { Offer } from "./ui/sending.js" */
/** @import { Entry } from "./ui/shelf.js" */
/** @import { Session } from "./ui/session.js" */
/** @import { SessionView } from "./ui/session_view.js" */
/** @import { TeachPanel } from "./ui/teach_panel.js" */

const REFRESH_MS = 250; // of a long recording, while it is heard
const REFRESH_SHARE = 20; // as many times as long as one takes: hearing comes first

/** Files that the server got. @type {WeakSet<File>} */
const sent = new WeakSet();
let nextRefresh = 0;
/** What shows a session: made before there is one. @type {SessionView | null} */
let view = null;
/** Made when somebody teaches. @type {TeachPanel | null} */
let teach = null;

const machine = new Machine(render);
const shelf = new Shelf(render);
const days = new Days({ entries: () => shelf.entries, makeEvents: (session) => view?.makeEvents(session) });
const sending = new Sending();
const listenButton = new ListenButton(() => (machine.isLive ? live.stop() : listen()));
const examples = new Examples({ onOpen: (file, isPressed) => open([file], isPressed), onTrouble: (error, name) => fail(error, name) });
const linking = new Linking({
  shown: () => ({ entry: shelf.shown, seconds: view?.place ?? 0 }),
  show: (entry, seconds) => {
    shelf.show(entry);
    view?.look(seconds);
  },
  open: (name) => examples.openNamed(name),
});
const tabs = new Tabs({ onShow: (entry) => shelf.show(entry), onRemove: removeEntry });
const choices = new Choices({
  onChange: () => {
    if (current() === null) clearNotice();
    else clearNotice("notSent", "notSentMicrophone", "stoppedPlace", "stoppedModel");
    choseOther();
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
  onOwn: showOwnNews,
});
const jobs = new Jobs(machine, choices.engines, {
  stage: (stage, { file, where }) => {
    busyWith(stage, { file: file.name });
    if (where === "server" && stage === "hearing") sent.add(file);
    render();
  },
  progress,
  wait: showWaiting,
  begun: (entry, job) => shelf.add(entry, { isShown: job.isFirst }),
  changed: ({ session }) => {
    const started = performance.now();
    if (session !== view?.session || started < nextRefresh) return;
    view.refresh();
    renderStatus();
    const now = performance.now();
    nextRefresh = now + Math.max(REFRESH_MS, REFRESH_SHARE * (now - started));
  },
  done: fileHeard,
  failed: (error, { file, where }) => {
    const isServer = where === "server";
    fail(error, file.name, { key: isServer ? "sendAgain" : "tryAgain", run: () => open([file], isServer) });
  },
});
const live = new Live(machine, choices.engines, {
  progress,
  begun: (entry, before) => {
    shelf.add(entry, { isShown: before === null || before === shelf.shown });
    microphones.refresh();
    if (before === null) say(t("waiting"));
    else notice("goesOn", { model: entry.model.name });
  },
  window: heardWindow,
  samples: heardSamples,
  state: streamState,
  silent: (isSilent) => (isSilent ? lastingNotice("microphone", "microphoneSilent") : settle("microphone")),
  ended: liveEnded,
  lost: () => notice("noMicrophone"),
  failed: (error) => fail(error),
});
const keeping = new Keeping(() => shelf.entries.filter(({ session }) => session.isOver));
const watching = new Watching();
const microphones = new Microphones((deviceId) => live.useMicrophone(deviceId));

/** What shows what is heard, if it is not there yet. */
async function loadView() {
  const { SessionView } = await import("./ui/session_view.js");
  view ??= new SessionView({
    onPlaying: (isPlaying) => {
      live.pause(isPlaying);
      renderStatus();
    },
    onEvents: () => days.again(),
  });
}

async function openTeaching() {
  const { TeachPanel } = await import("./ui/teach_panel.js");
  teach ??= new TeachPanel(machine, {
    base: () => choices.teachableBase(),
    labels: () => choices.teachable?.labels ?? [],
    use: (file) => choices.useOwn(file),
    forget: (name) => choices.forgetOwn(name),
    failed: (error) => fail(error),
  });
  render();
  teach.open();
}

async function begin() {
  await choices.load();
  render();
  delete document.body.dataset.waits; // all of the first screen is there
}

/** What an earlier visit heard; what this one heard already stays on the screen. */
async function restore() {
  await choices.loaded;
  const { shown } = shelf;
  const entries = await keeping.restored((name) => choices.named(name));
  if (entries.length) await loadView();
  for (const entry of entries) shelf.add(entry, { isShown: shown === null && shelf.shown?.session.isOver !== false });
  linking.start(() => shelf.entries);
  onArriving((files) => open(files, false)); // nothing in another program says that it is sent
}

/** Whether there is a model to hear by, and what shows what is heard; if not, the page says why. */
async function isReady() {
  await choices.loaded;
  if (!choices.isReady) await begin();
  try {
    await loadView();
  } catch (error) {
    fail(error);
    return false;
  }
  return choices.isReady;
}

/** What was begun last, of what is heard or on the screen. */
function current() {
  return jobs.current ?? live.opening ?? shelf.shown;
}

/**
 * Another model or place was chosen. This device hears a recording again by it, beside what was heard before, and
 * listens on by it. To the server nothing goes by a choice: what is heard goes on as it was begun, and `offer` has
 * a press. What goes to the server ends when this device is chosen, or another model.
 */
function choseOther() {
  const { choice: listening } = live;
  if (listening && !choices.isChosen(listening)) {
    if (listening.where === "server" && live.entry) {
      const isLeaving = !choices.isSending;
      live.stop();
      notice(isLeaving ? "stoppedPlace" : "stoppedModel");
      return;
    }
    if (!choices.isSending) {
      if (live.entry === null) live.cancel();
      clearNotice();
      live.listen(choices.choice);
    }
  }
  if (choices.isSending) return;
  const work = jobs.current;
  if (work) {
    if (choices.isChosen(work)) return;
    clearNotice();
    jobs.restart(choices.choice);
    return;
  }
  const { shown } = shelf;
  if (shown?.file?.size && !choices.isChosen(shown) && !live.entry) {
    jobs.add([{ ...choices.choice, file: shown.file, isFirst: true }]);
  }
}

/**
 * What stayed here, or went to another model, and can be sent by a press.
 * @returns {Offer | null}
 */
function offer() {
  const work = current();
  if (work === null || !choices.isSending || choices.isChosen(work)) return null;
  const { file, where, model } = work;
  if (file) {
    if (file.size === 0) return null; // only what was heard of it was kept
    const key = where === "device" ? "fromDevice" : "fromServer";
    const action = sent.has(file) ? "sendAgain" : "sendRecording";
    return { key, values: { model: model.name }, action, run: () => open([file], true) };
  }
  if (where !== "device" || (work !== live.entry && !live.opening)) return null;
  return { key: "stillHere", values: {}, action: "sendMicrophone", run: () => listen(true) };
}

/**
 * @param {unknown} error
 * @param {string} [name]
 * @param {Action | null} [again]
 */
function fail(error, name, again) {
  render();
  if (kindOf(error) === "AccessError") choices.refused();
  else tell(error, name, again);
}

/** @param {OwnNews} news */
function showOwnNews({ name, error, isKept, undo }) {
  render();
  if (error !== undefined) notice(...explain(error, name));
  else if (undo !== undefined) notice("ownRemoved", { name }, undo && { key: "undo", run: undo });
  else if (!isKept) notice("ownNotKept", { name });
  else clearNotice("modelNotLoading", "modelNeedsDevice"); // of another one, or of an earlier try
}

/** @param {Entry} entry */
function removeEntry(entry) {
  const undo = shelf.remove(entry);
  keeping.forget(entry);
  const run = () => {
    undo();
    keeping.keep(entry);
  };
  notice("entryRemoved", { name: entryName(entry) }, { key: "undo", run });
}

// --- Recordings

/**
 * Hears files, one after the other. maySend: what was pressed said that they are sent; else the server does not get
 * them.
 * @param {File[]} given
 * @param {boolean} [maySend]
 */
async function open(given, maySend = choices.isSending) {
  const isModel = (/** @type {File} */ file) => file.name.toLowerCase().endsWith(".tflite");
  const refusals = [];
  for (const model of given.filter(isModel)) refusals.push(await choices.useOwn(model));
  const files = given.filter((file) => !isModel(file));
  if (files.length === 0) tellRefused(refusals); // what was said of one went with the next
  if (files.length === 0 || !(await isReady())) return;
  if (choices.isSending && !maySend) {
    /** @type {Action} */
    const send = { key: "sendRecording", run: () => open(files, true) };
    const more = files.length - 1;
    const named = more ? t("andMore", { file: files[0].name, n: more }) : files[0].name;
    notice("notSent", { file: named, server: choices.serverName }, send);
    return;
  }
  clearNotice();
  tellRefused(refusals);
  const { choice } = choices;
  // What waits for the server is asked for again now, by this choice, and not twice.
  const again = jobs.current;
  if (again && files.length === 1 && again.file === files[0]) jobs.restart(choice);
  else jobs.add(files.map((file, number) => ({ ...choice, file, isFirst: number === 0 })));
}

/**
 * Of models that came together: why the first was refused, and how many more were.
 * @param {unknown[]} errors of each; undefined: it was not
 */
function tellRefused(errors) {
  const [first, ...more] = errors.filter((error) => error !== undefined);
  if (first === undefined) return;
  const [key, values] = explain(first);
  notice(key, more.length ? { ...values, model: t("andMore", { file: values.model, n: more.length }) } : values);
}

/**
 * @param {Entry} entry
 * @param {unknown} problem
 */
function fileHeard(entry, problem) {
  const { session } = entry;
  keeping.keep(entry);
  if (session === view?.session) view.finish();
  render();
  linking.heard(entry);
  if (session === view?.session) say(`${t("heardOnly", heardValues(entry))}. ${view.countText}`);
  if (session.isDamaged) notice("damaged", { file: session.name });
  else if (session.isCut && problem) tell(problem, session.name);
  else if (problem) notice("noPicture", { file: session.name });
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
  clearNotice();
  if (live.entry === null) busyWith("loadingModel");
  await live.listen(choices.choice);
}

/** @param {Entry} entry */
function liveEnded(entry) {
  const { session } = entry;
  keeping.keep(entry);
  watching.ended(session);
  clearNotice("serverGone", "serverFull", "behind");
  settle("microphone");
  if (session === view?.session) view.show(session);
  render();
  if (session === view?.session && !live.entry) say(`${t("stopped")} ${view.countText}`);
}

/**
 * @param {Session} heard
 * @param {WindowScores} window
 */
function heardWindow(heard, window) {
  watching.window(heard, window);
  if (live.entry) keeping.keepLive(live.entry);
  if (heard === view?.session && !document.hidden) view.window(window);
}

/**
 * @param {Session} heard
 * @param {number} level
 */
function heardSamples(heard, level) {
  if (!listenButton.follow(level) || heard !== view?.session) return;
  view.moved();
  renderStatus();
}

/** @param {StreamState} state */
function streamState({ waiting = null, failure = null, behindSeconds }) {
  if (failure) {
    live.stop();
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

/** The page as the states, the shelf and the choices say. */
function render() {
  const { shown } = shelf;
  const session = shown?.session ?? null;
  if (view !== null && session !== view.session) view.show(session);
  const { body } = document;
  body.dataset.state = machine.look(shown !== null);
  body.toggleAttribute("data-shown", shown !== null);
  body.toggleAttribute("data-listening", machine.isLive);
  byId("busy").hidden = !machine.isBusy;
  for (const id of ["now", "picture", "found"]) byId(id).hidden = shown === null;
  tabs.render(shelf.entries, { shown, live: live.entry });
  byId("waiting").hidden = jobs.nWaiting === 0;
  byId("waiting").textContent = t("filesWaiting", { n: jobs.nWaiting });
  listenButton.render({ isLive: machine.isLive, isSending: choices.isSending });
  examples.offer(choices.examples);
  examples.say(choices.promise);
  byId("language").textContent = t("language");
  byId("language").lang = currentLanguage() === "en" ? "es" : "en";
  byId("language").title = t("languageLabel");
  byId("theme").setAttribute("aria-label", t(isDark() ? "themeLight" : "themeDark"));
  byId("theme").title = t(isDark() ? "themeLight" : "themeDark");
  watching.offer(choices.labels);
  byId("teach").hidden = choices.teachable === null;
  teach?.offer(session);
  days.refresh();
  const work = current();
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
  const { shown } = shelf;
  if (shown !== null) showStatus(shown, live.entry === shown && view?.isPlaying === true);
}

// --- What is pressed

onOpen(() => choices.isSending, open);
byId("busy-cancel").addEventListener("click", () => {
  jobs.cancel();
  live.cancel();
  clearNotice();
  render();
  byId("listen").focus();
});
byId("language").addEventListener("click", () => setLanguage(currentLanguage() === "en" ? "es" : "en"));
byId("theme").addEventListener("click", switchTheme);
byId("teach-open").addEventListener("click", () => openTeaching().catch(fail));
onDrop((files) => open(files), (files) => open(files, false)); // nothing at the keyboard says that a paste is sent
addEventListener("beforeunload", (event) => {
  // A recording is still in its file; what the microphone heard is nowhere else.
  const isLost = (/** @type {Entry} */ { session }) =>
    session.isLive && (!session.isOver || !(session.isSaved || keeping.isOn));
  if (shelf.entries.some(isLost)) event.preventDefault();
});

onLanguage(() => {
  translatePage();
  render();
  view?.again();
});
onTheme(() => {
  view?.repaint();
  render();
});

startPanels();
render();
begin();
restore();
answerPresses();
startInstalling({ ready: () => choices.loaded, isBusy: () => machine.isBusy });
