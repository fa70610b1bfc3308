// SPDX-License-Identifier: Apache-2.0

/* "Teach a sound": what is pressed for it, and what it says. */

import { byId } from "./elements.js";
import { saveFile } from "./exports.js";
import { clock, currentLanguage, nameOf, onLanguage, t } from "./language.js";
import { recall, remember } from "./memory.js";
import { notice, say, tell } from "./notices.js";
import { TAUGHT_MODEL } from "./own_models.js";
import { Teaching } from "./teaching.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Key } from "./language.js" */
/** @import { Session } from "./session.js" */
/** @import { Machine } from "./states.js" */

const WANTED = 5; // examples of a sound
const LONGEST_NAME = 40;
const RESERVED = new Set(["other", "silence", "background", "noise", "unknown"]); // that oido has a meaning for
const TAP_MS = 300; // a press that is shorter goes on until the next one
const MOST_EVENTS = 30;

const panel = byId("teach-panel");
const opener = byId("teach-open");
const field = byId("teach-name", HTMLInputElement);
const hold = byId("teach-hold");
const events = byId("teach-event", HTMLSelectElement);

/**
 * What the page does for it. labels: of the model that is taught to. use, forget: the model that was made. failed: says
 * what went wrong.
 * @typedef {{base: () => Promise<{name: string, key: string, bytes: Uint8Array<ArrayBuffer>}>, labels: () => string[],
 *   use: (file: File) => void, forget: (name: string) => void, failed: (error: unknown) => void}} Page
 */

export class TeachPanel {
  #machine;
  #page;
  #teaching;
  /** @type {Session | null} */
  #session = null;
  /** @type {SoundEvent[]} */
  #offered = [];
  #pressed = 0; // when
  #goesOn = false;
  #nSaid = 0;
  #shownSounds = "";
  #isNotKept = false;

  /**
   * @param {Machine} machine
   * @param {Page} page
   */
  constructor(machine, page) {
    this.#machine = machine;
    this.#page = page;
    this.#teaching = new Teaching(machine, {
      base: page.base,
      changed: () => this.render(),
      failed: page.failed,
      notKept: () => this.#sayNotKept(),
      level: (level) => hold.style.setProperty("--level", Math.max(0, 1 + Math.log10(level + 1e-9) / 3).toFixed(2)),
    });
    field.value = recall("teach-name") ?? "";
    field.addEventListener("input", () => {
      byId("teach-problem").hidden = true; // what is said of a name comes with a press, under which nothing moves
      this.render();
    });
    byId("teach-close").addEventListener("click", () => this.#close());
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.#close();
    });
    byId("teach-arm").addEventListener("click", () => this.#arm());
    byId("teach-event-add").addEventListener("click", () => this.#addEvent());
    events.addEventListener("focus", () => this.#offerEvents());
    byId("teach-use").addEventListener("click", () => this.#make(true));
    byId("teach-save").addEventListener("click", () => this.#make(false));
    byId("teach-clips").addEventListener("click", async () => saveFile(await this.#teaching.clips()));
    this.#listenToHold();
    onLanguage(() => this.render());
  }

  /**
   * What is shown: its events can be examples.
   * @param {Session | null} session
   */
  offer(session) {
    this.#session = session;
    this.#offerEvents();
    this.render();
  }

  render() {
    const { state, labels, canFit } = this.#teaching;
    const isOpen = state !== "closed";
    const isArmed = state === "armed" || state === "recording";
    panel.hidden = !isOpen;
    opener.hidden = isOpen;
    if (!isOpen) return;
    for (const id of ["teach-arm", "teach-event-add", "teach-use", "teach-save", "teach-clips"]) {
      byId(id, HTMLButtonElement).disabled = state === "opening" || state === "building" || state === "arming";
    }
    byId("teach-arm").hidden = isArmed;
    byId("teach-arm").textContent = t(state === "opening" ? "loadingModel" : "teachArm");
    hold.hidden = !isArmed;
    hold.classList.toggle("recording", state === "recording");
    hold.setAttribute("aria-pressed", String(state === "recording"));
    const held = this.#goesOn ? "teachEnd" : "teachRelease";
    byId("teach-hold-text").textContent = t(state === "recording" ? held : "teachHold");
    const name = this.#name;
    const counts = { n: name ? this.#teaching.count(name) : 0, wanted: WANTED, other: this.#teaching.count(null) };
    byId("teach-count").textContent = t("teachCount", counts);
    if (counts.n !== this.#nSaid && state !== "opening") say(t("teachCount", counts));
    this.#nSaid = counts.n;
    this.#renderSounds(labels);
    for (const id of ["teach-use", "teach-save", "teach-clips"]) byId(id).hidden = labels.length === 0;
    if (!canFit || state === "recording") {
      for (const id of ["teach-use", "teach-save"]) byId(id, HTMLButtonElement).disabled = true;
    }
    const judged = this.#judged();
    if (byId("teach-judged").textContent !== judged) byId("teach-judged").textContent = judged;
  }

  /** Moments come every second: a row that stays as it is keeps the focus. @param {string[]} labels */
  #renderSounds(labels) {
    const texts = labels.map((label) => t("teachSound", { label, n: this.#teaching.count(label) }));
    const key = [currentLanguage(), ...texts].join("\n");
    if (key === this.#shownSounds) return;
    this.#shownSounds = key;
    byId("teach-sounds").hidden = labels.length === 0;
    byId("teach-sounds").replaceChildren(...labels.map((label, n) => this.#row(label, texts[n])));
  }

  #sayNotKept() {
    if (!this.#isNotKept) notice("teachNotKept");
    this.#isNotKept = true;
  }

  /** The name that was typed; of a sound that is there already, as it was written first. */
  get #name() {
    const name = field.value.normalize("NFC").replace(/[\s\p{C}]+/gu, " ").trim();
    const isSame = (/** @type {string} */ label) => label.toLowerCase() === name.toLowerCase();
    return this.#teaching.labels.find(isSame) ?? name;
  }

  /** Says what is wrong with the name; gives whether it is right. */
  #hasName() {
    const name = this.#name;
    const problem = this.#problemOf(name);
    byId("teach-problem").hidden = problem === null;
    byId("teach-problem").textContent = problem === null ? "" : t(problem, { name });
    if (problem === null) remember("teach-name", name);
    return problem === null;
  }

  /**
   * @param {string} name
   * @returns {Key | null}
   */
  #problemOf(name) {
    if (name === "") return "teachNameless";
    if ([...name].length > LONGEST_NAME || !/^[\p{L}\p{N}]/u.test(name)) return "teachNameForm";
    if (RESERVED.has(name.toLowerCase())) return "teachNameReserved";
    const isSame = (/** @type {string} */ each) =>
      each.localeCompare(name, currentLanguage(), { sensitivity: "base" }) === 0;
    const known = this.#page.labels().flatMap((label) => [label, nameOf(label)]);
    return known.some(isSame) ? "teachNameKnown" : null;
  }

  open() {
    if (!this.#machine.can("teaching", "teach")) return;
    this.#teaching.open();
    this.#offerEvents();
    this.render();
    field.focus();
  }

  #close() {
    this.#teaching.close();
    this.render();
    opener.focus();
  }

  async #arm() {
    if (!this.#machine.can("teaching", "arm") || !this.#asked()) return;
    await this.#teaching.arm(byId("microphone", HTMLSelectElement).value);
    this.render();
    if (!hold.hidden) hold.focus();
  }

  /** Whether there is a name; if not, it is asked for. */
  #asked() {
    const isNamed = this.#hasName();
    if (!isNamed) field.focus();
    return isNamed;
  }

  /** Held, by a finger, a mouse or a key; or a short press begins, and the next ends. */
  #listenToHold() {
    const isKey = (/** @type {KeyboardEvent} */ { key }) => key === " " || key === "Enter";
    hold.addEventListener("pointerdown", (event) => {
      hold.setPointerCapture(event.pointerId);
      this.#press();
    });
    for (const name of ["pointerup", "pointercancel"]) hold.addEventListener(name, () => this.#unpress());
    hold.addEventListener("keydown", (event) => {
      if (!isKey(event)) return;
      event.preventDefault();
      if (!event.repeat) this.#press();
    });
    hold.addEventListener("keyup", (event) => {
      if (!isKey(event)) return;
      event.preventDefault();
      this.#unpress();
    });
    hold.addEventListener("blur", () => this.#teaching.release());
    hold.addEventListener("contextmenu", (event) => event.preventDefault());
    // What assistive programs press has neither a pointer nor a key.
    hold.addEventListener("click", (event) => {
      if (event.detail !== 0) return;
      this.#press();
      this.#unpress();
    });
  }

  #press() {
    if (this.#teaching.state === "recording") {
      this.#goesOn = false;
      this.#teaching.release();
      this.#pressed = -Infinity;
      return;
    }
    if (!this.#asked()) return;
    this.#goesOn = false;
    this.#pressed = performance.now();
    this.#teaching.hold(this.#name);
    this.render();
  }

  #unpress() {
    if (this.#teaching.state !== "recording" || this.#pressed === -Infinity) return;
    this.#goesOn = performance.now() - this.#pressed < TAP_MS;
    if (!this.#goesOn) this.#teaching.release();
    this.render();
  }

  /** The events of what is shown, newest first. */
  #offerEvents() {
    const session = this.#session;
    const first = session?.audio ? session.audio.first / session.audio.sampleRateHz : Infinity;
    const found = (session?.events ?? []).filter(({ isOngoing, startTime }) => !isOngoing && startTime >= first);
    this.#offered = found.slice(-MOST_EVENTS).reverse();
    const texts = this.#offered.map(({ startTime, label }) => `${clock(startTime)} · ${nameOf(label)}`);
    byId("teach-event-field").hidden = texts.length === 0;
    const before = [...events.options].map(({ text }) => text);
    if (texts.join("\n") === before.join("\n")) return; // what is chosen stays
    events.replaceChildren(...texts.map((text) => new Option(text)));
  }

  async #addEvent() {
    const event = this.#offered[events.selectedIndex];
    const session = this.#session;
    if (!event || session === null || !this.#asked()) return;
    try {
      if (!(await this.#teaching.addEvent(session, event, this.#name))) notice("soundGone");
    } catch (error) {
      tell(error, session.name);
    }
  }

  /**
   * @param {string} label
   * @param {string} text
   */
  #row(label, text) {
    const [item, name, undo, remove] = ["li", "span", "button", "button"].map((tag) => document.createElement(tag));
    name.textContent = text;
    Object.assign(undo, { type: "button", className: "quiet", textContent: t("teachUndo") });
    undo.setAttribute("aria-label", `${t("teachUndo")}: ${label}`);
    undo.addEventListener("click", () => {
      this.#teaching.undo(label);
      this.#leftNone();
      field.focus({ preventScroll: true });
    });
    Object.assign(remove, { type: "button", className: "quiet round", textContent: "×" });
    remove.setAttribute("aria-label", t("removeEntry", { name: label }));
    remove.addEventListener("click", () => {
      const bringBack = this.#teaching.removeSound(label);
      this.#leftNone();
      notice("entryRemoved", { name: label }, { key: "undo", run: bringBack });
      field.focus({ preventScroll: true }); // the message was just brought into view
    });
    item.append(name, undo, remove);
    return item;
  }

  /** Without any sound, the model that was made of them goes, too. */
  #leftNone() {
    if (this.#teaching.labels.length === 0) this.#page.forget(TAUGHT_MODEL);
  }

  #judged() {
    const { judgement, labels } = this.#teaching;
    if (labels.length === 0) return "";
    if (this.#teaching.count(null) === 0) return t("teachNoOther");
    if (judgement === null) return t("teachJudging");
    const { isTooFew, nFound, nExamples, nMistaken, nOther } = judgement;
    const few = t("teachTooFew", { wanted: WANTED });
    if (nExamples === 0) return few;
    const said = t("teachJudged", { found: nFound, n: nExamples, mistaken: nMistaken, other: nOther });
    return isTooFew ? `${said} ${few}` : said;
  }

  /**
   * Makes the model: to hear by it here at once, or as a file for other programs.
   * @param {boolean} isForHere
   */
  async #make(isForHere) {
    try {
      const file = await this.#teaching.model({ isFramewise: isForHere });
      byId("teach").dataset.fitMilliseconds = this.#teaching.fitMilliseconds.toFixed(1);
      if (isForHere) this.#page.use(file);
      else saveFile(file);
      say(t(isForHere ? "teachUsed" : "teachSaved", { name: file.name }));
    } catch (error) {
      this.#page.failed(error);
    }
    this.render();
  }
}
