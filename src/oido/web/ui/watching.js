// SPDX-License-Identifier: Apache-2.0

/* "Tell me when": sounds that are watched for while the microphone is heard, and the clips of when they were. */

import { allowNotifications, alertBy, possibleWays } from "./alerts.js";
import { byId } from "./elements.js";
import { saveFile } from "./exports.js";
import { clock, currentLanguage, labelNamed, nameOf, onLanguage, plain, scoreText, t } from "./language.js";
import { recall, remember } from "./memory.js";
import { say } from "./notices.js";
import { WatchRules, isQuiet, minuteOf } from "./watch_rules.js";

/** @import { WindowScores } from "../types.js" */
/** @import { Ways } from "./alerts.js" */
/** @import { Key } from "./language.js" */
/** @import { Session } from "./session.js" */
/** @import { Watch } from "./watch_rules.js" */

const FIRST_THRESHOLD = 0.3;
const MOST_CLIPS = 50;
const BEFORE_SECONDS = 3;
const AFTER_SECONDS = 3;

const input = byId("watch-name", HTMLInputElement);
const options = byId("watch-labels", HTMLDataListElement);
/** Where names of the labels are typed. @type {HTMLInputElement[]} */
const fields = [...document.querySelectorAll("input")].filter(({ list }) => list === options);
const list = byId("watches");
const log = byId("watch-log");
const from = byId("quiet-from", HTMLInputElement);
const to = byId("quiet-to", HTMLInputElement);

/** @type {Record<keyof Ways, Key>} */
const WAYS = { chime: "watchChime", flash: "watchFlash", vibrate: "watchVibrate", notify: "watchNotify" };

export class Watching {
  #rules = new WatchRules();
  /** @type {Watch[]} */
  #watches = readWatches();
  /** @type {string[]} */
  #labels = [];
  #areOffered = false;
  /** @type {Session | null} */
  #session = null;
  /** What was heard, whose clip is complete only a little later. @type {{session: Session, name: string, time: number, item: HTMLElement}[]} */
  #due = [];

  constructor() {
    byId("watch-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(input.value.trim());
    });
    for (const field of fields) {
      field.addEventListener("focus", () => this.#offerLabels());
      field.addEventListener("input", () => this.#offerPlain(field.value));
    }
    byId("flash").addEventListener("click", () => (byId("flash").hidden = true));
    for (const name of ["from", "to"]) {
      const field = name === "from" ? from : to;
      field.value = recall(`quiet-${name}`) ?? "";
      field.addEventListener("change", () => remember(`quiet-${name}`, field.value));
    }
    this.#offerWays();
    this.#render();
    onLanguage(() => this.#render());
  }

  /**
   * The labels that can be watched for: those of the model that is chosen.
   * @param {string[]} labels
   */
  offer(labels) {
    if (labels === this.#labels) return;
    this.#labels = labels;
    this.#render();
  }

  /**
   * The next window of what is listened to.
   * @param {Session} session
   * @param {WindowScores} window
   */
  window(session, window) {
    if (session !== this.#session) this.#rules.reset();
    this.#session = session;
    for (const { watch, value } of this.#rules.begun(window, session.info.labels, this.#watches)) {
      this.#tell(session, watch, window, value);
    }
    this.#keepClips(session);
  }

  /**
   * Nothing more comes of it.
   * @param {Session} session
   */
  ended(session) {
    this.#keepClips(session, true);
  }

  /**
   * @param {Session} session
   * @param {Watch} watch
   * @param {WindowScores} window
   * @param {number} value
   */
  #tell(session, watch, window, value) {
    const now = new Date();
    const name = nameOf(watch.label);
    const time = now.toLocaleTimeString(currentLanguage());
    const item = document.createElement("li");
    item.append(t("watchHeard", { label: name, time, value: scoreText(value) }));
    log.prepend(item);
    log.hidden = false;
    while (log.children.length > MOST_CLIPS) log.lastElementChild?.remove();
    this.#due.push({ session, name, time: window.startTime, item });
    if (isQuiet(quietHours(), now)) return;
    say(name);
    alertBy(name, chosenWays());
  }

  /**
   * Gives those a clip whose sound is complete.
   * @param {Session} session
   * @param {boolean} [isOver]
   */
  #keepClips(session, isOver = false) {
    const isComplete = (/** @type {{session: Session, time: number}} */ each) =>
      each.session !== session || isOver || session.duration >= each.time + AFTER_SECONDS;
    for (const each of this.#due.filter(isComplete)) offerClip(each);
    this.#due = this.#due.filter((each) => !isComplete(each));
  }

  /** @param {string} name */
  #add(name) {
    const label = labelNamed(this.#labels, name);
    byId("watch-unknown").hidden = label !== undefined || name === "";
    if (label === undefined) {
      byId("watch-unknown").textContent = t("watchUnknown", { name });
      return;
    }
    input.value = "";
    if (this.#watches.some((watch) => watch.label === label)) return;
    this.#watches = [...this.#watches, { label, threshold: FIRST_THRESHOLD }];
    this.#changed();
  }

  #changed() {
    remember("watches", JSON.stringify(this.#watches));
    this.#render();
  }

  /** Hundreds of names, once somebody is about to type one. */
  #offerLabels() {
    if (this.#areOffered) return;
    this.#areOffered = true;
    const names = this.#labels.map((label) => nameOf(label));
    options.replaceChildren(...names.map((name) => new Option("", name)));
  }

  /**
   * A browser offers the names that have what was typed, letter by letter; without its accents it finds it in a label.
   * @param {string} typed
   */
  #offerPlain(typed) {
    const [written, words] = [typed.trim().toLowerCase(), plain(typed.trim())];
    const all = [...options.options];
    const labels = all.map(({ value }) => {
      const name = plain(value);
      return name.includes(words) && !value.toLowerCase().includes(written) ? name : "";
    });
    if (all.every(({ label }, at) => label === labels[at])) return;
    // Anew: of what is only changed, browsers take no notice while they offer.
    options.replaceChildren(...all.map(({ value }, at) => new Option(labels[at], value)));
  }

  #render() {
    this.#areOffered = false;
    if (fields.some((field) => field === document.activeElement)) this.#offerLabels();
    list.replaceChildren(...this.#watches.map((watch) => this.#row(watch)));
    list.hidden = this.#watches.length === 0;
    byId("watch-options").hidden = list.hidden;
  }

  /** @param {Watch} watch */
  #row(watch) {
    const [item, name, slider, value, remove] = ["li", "span", "input", "output", "button"].map((tag) =>
      document.createElement(tag),
    );
    const label = nameOf(watch.label);
    name.textContent = label;
    const range = /** @type {HTMLInputElement} */ (slider);
    Object.assign(range, { type: "range", min: "0.05", max: "0.95", step: "0.01", value: String(watch.threshold) });
    range.setAttribute("aria-label", t("watchThreshold", { label }));
    value.textContent = scoreText(watch.threshold);
    range.addEventListener("input", () => {
      watch.threshold = Number(range.value);
      value.textContent = scoreText(watch.threshold);
      remember("watches", JSON.stringify(this.#watches));
    });
    Object.assign(remove, { type: "button", className: "quiet round", textContent: "×" });
    remove.setAttribute("aria-label", t("removeEntry", { name: label }));
    remove.addEventListener("click", () => {
      this.#watches = this.#watches.filter((each) => each !== watch);
      this.#changed();
      input.focus();
    });
    item.append(name, range, value, remove);
    return item;
  }

  #offerWays() {
    const possible = possibleWays();
    for (const way of /** @type {(keyof Ways)[]} */ (Object.keys(WAYS))) {
      const box = wayBox(way);
      const row = box.closest("label") ?? box;
      row.hidden = !possible[way];
      box.checked = possible[way] && (recall(`watch-${way}`) ?? String(way === "chime" || way === "flash")) === "true";
      box.addEventListener("change", async () => {
        if (way === "notify" && box.checked) box.checked = await allowNotifications();
        remember(`watch-${way}`, String(box.checked));
      });
    }
  }
}

/**
 * Offers a moment's sound beside what is said of it.
 * @param {{session: Session, name: string, time: number, item: HTMLElement}} moment
 */
async function offerClip({ session, name, time, item }) {
  const { clipOf } = await import("./clips.js");
  const clip = await clipOf(session, time - BEFORE_SECONDS, time + AFTER_SECONDS, name);
  if (clip === null) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = t("watchSave");
  button.setAttribute("aria-label", `${t("watchSave")}: ${name}, ${clock(time)}`);
  button.addEventListener("click", () => saveFile(clip));
  item.append(" ", button);
}

/** @param {keyof Ways} way */
const wayBox = (way) => byId(`watch-${way}`, HTMLInputElement);

/** @returns {Ways} */
function chosenWays() {
  const [chime, flash, vibrate, notify] = [wayBox("chime"), wayBox("flash"), wayBox("vibrate"), wayBox("notify")];
  return { chime: chime.checked, flash: flash.checked, vibrate: vibrate.checked, notify: notify.checked };
}

function quietHours() {
  const [start, end] = [minuteOf(from.value), minuteOf(to.value)];
  return start === null || end === null ? null : { from: start, to: end };
}

/** Those of another visit. @returns {Watch[]} */
function readWatches() {
  try {
    const kept = JSON.parse(recall("watches") ?? "[]");
    const isWatch = (/** @type {any} */ each) =>
      typeof each?.label === "string" && each.threshold >= 0 && each.threshold <= 1;
    return Array.isArray(kept) ? kept.filter(isWatch) : [];
  } catch {
    return [];
  }
}
