// SPDX-License-Identifier: Apache-2.0

/*
 * Review: event after event, right or wrong or by another name, by keys; saved as a table of labels, from which `oido
 * train`, `calibrate` and `evaluate` learn what is really heard.
 */

import { canShare, cardOfEvent, clipOfEvent, shareOrSave } from "./clips.js";
import { Closeup } from "./closeup.js";
import { byId } from "./elements.js";
import { labelsTable, save, saveFile } from "./exports.js";
import { clock, labelNamed, nameOf, t } from "./language.js";
import { tell } from "./notices.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Session } from "./session.js" */

/**
 * What somebody says of an event: what it is, or null for nothing of that kind.
 * @typedef {{event: SoundEvent, label: string | null}} Verdict
 */

const panel = byId("review");
const field = byId("review-label", HTMLInputElement);

export class Review {
  /** By session, and event. @type {WeakMap<Session, Map<string, Verdict>>} */
  #verdicts = new WeakMap();
  /** @type {Session | null} */
  #session = null;
  /** @type {SoundEvent[]} */
  #events = [];
  #at = 0;
  #closeup = new Closeup();
  #onPlay;
  #onMark;

  /**
   * onPlay(event): it is looked at; onMark(): something was said of an event.
   * @param {{onPlay: (event: SoundEvent) => void, onMark: () => void}} handlers
   */
  constructor({ onPlay, onMark }) {
    this.#onPlay = onPlay;
    this.#onMark = onMark;
    byId("review-start").addEventListener("click", () => this.#open());
    byId("review-end").addEventListener("click", () => this.#close());
    byId("review-right").addEventListener("click", () => this.#say(this.#event?.label ?? null));
    byId("review-wrong").addEventListener("click", () => this.#say(null));
    byId("review-before").addEventListener("click", () => this.#go(-1));
    byId("review-next").addEventListener("click", () => this.#go(1));
    byId("review-play").addEventListener("click", () => this.#play());
    byId("review-clip").addEventListener("click", () => this.#withSound(shareClip));
    byId("review-card").addEventListener("click", () => this.#withSound(saveCard));
    byId("review-save").addEventListener("click", () => this.#save());
    byId("review-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) this.#say(this.#labelOf(field.value.trim()));
      byId("review-next").focus();
    });
    panel.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * Another session, or other events of it.
   * @param {Session} session
   * @param {SoundEvent[]} events as they are listed
   */
  show(session, events) {
    const before = this.#event;
    if (session !== this.#session) panel.hidden = true;
    this.#session = session;
    this.#events = events.filter(({ isOngoing }) => !isOngoing);
    const place = before ? this.#events.findIndex((event) => keyOf(event) === keyOf(before)) : -1;
    this.#at = place >= 0 ? place : Math.min(this.#at, Math.max(0, this.#events.length - 1));
    byId("review-start").hidden = this.#events.length === 0 || !panel.hidden;
    if (this.#events.length === 0) panel.hidden = true;
    this.#render();
  }

  /**
   * What was said of an event: "right", "wrong", "renamed", or "" for nothing.
   * @param {SoundEvent} event
   */
  verdictOf(event) {
    const verdict = this.#of(this.#session)?.get(keyOf(event));
    if (verdict === undefined) return "";
    if (verdict.label === null) return "wrong";
    return verdict.label === event.label ? "right" : "renamed";
  }

  /** @param {Session | null} session */
  #of(session) {
    return session ? this.#verdicts.get(session) : undefined;
  }

  /**
   * Looks at this one.
   * @param {SoundEvent} event
   */
  select(event) {
    const place = this.#events.findIndex((each) => keyOf(each) === keyOf(event));
    if (place < 0) return;
    this.#at = place;
    panel.hidden = false;
    byId("review-start").hidden = true;
    this.#render();
    byId("review-play").focus({ preventScroll: true });
    panel.scrollIntoView({ block: "nearest" });
  }

  /** The one that is looked at. */
  get #event() {
    return this.#events[this.#at] ?? null;
  }

  #open() {
    this.#at = Math.max(0, this.#events.findIndex((event) => this.verdictOf(event) === ""));
    panel.hidden = false;
    byId("review-start").hidden = true;
    this.#render();
    byId("review-next").focus();
    this.#play();
  }

  #close() {
    panel.hidden = true;
    byId("review-start").hidden = false;
    byId("review-start").focus();
  }

  /** @param {number} step */
  #go(step) {
    const next = this.#at + step;
    if (next < 0 || next >= this.#events.length) return;
    this.#at = next;
    this.#render();
    this.#play();
  }

  #play() {
    if (this.#event) this.#onPlay(this.#event);
  }

  /** @param {(session: Session, event: SoundEvent) => Promise<void>} action */
  async #withSound(action) {
    const [session, event] = [this.#session, this.#event];
    if (session === null || event === null) return;
    try {
      await action(session, event);
    } catch (error) {
      tell(error, session.name);
    }
  }

  /** @param {string | null} label */
  #say(label) {
    const [session, event] = [this.#session, this.#event];
    if (session === null || event === null) return;
    const verdicts = this.#of(session) ?? new Map();
    this.#verdicts.set(session, verdicts);
    verdicts.set(keyOf(event), { event, label });
    field.value = "";
    this.#onMark();
    this.#render();
    this.#go(1);
  }

  /**
   * The model's label of this name, in either language; else the name itself.
   * @param {string} name
   */
  #labelOf(name) {
    const labels = this.#session?.info.labels ?? [];
    return labelNamed(labels, name) ?? name;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target === field || event.ctrlKey || event.altKey || event.metaKey) return;
    /** @type {Record<string, () => void>} */
    const actions = {
      j: () => this.#go(1),
      k: () => this.#go(-1),
      y: () => this.#say(this.#event?.label ?? null),
      n: () => this.#say(null),
      r: () => field.focus(),
      p: () => this.#play(),
      escape: () => this.#close(),
    };
    const action = actions[event.key.toLowerCase()];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  #render() {
    const event = this.#event;
    const nSaid = this.#of(this.#session)?.size ?? 0;
    byId("review-save", HTMLButtonElement).disabled = nSaid === 0;
    if (!panel.hidden) this.#closeup.show(this.#session, event);
    if (event === null) return;
    const verdict = this.verdictOf(event);
    const time = `${clock(event.startTime)} – ${clock(event.endTime)}`;
    const said = this.#of(this.#session)?.get(keyOf(event))?.label;
    byId("review-what").textContent = t("reviewWhat", {
      place: this.#at + 1,
      n: this.#events.length,
      label: nameOf(event.label),
      time,
    });
    byId("review-said").textContent =
      verdict === "" ? "" : verdict === "renamed" ? nameOf(said ?? "") : t(verdict === "right" ? "reviewYes" : "reviewNo");
    const { audio, info } = /** @type {Session} */ (this.#session);
    byId("review-clip", HTMLButtonElement).disabled = !audio || event.endTime * info.sampleRateHz <= audio.first;
    byId("review-card", HTMLButtonElement).disabled = byId("review-clip", HTMLButtonElement).disabled;
    byId("review-clip").textContent = t(canShare() ? "clipShare" : "clipSave");
    byId("review-count").textContent = t("reviewCount", { n: nSaid });
    byId("review-before", HTMLButtonElement).disabled = this.#at === 0;
    byId("review-next", HTMLButtonElement).disabled = this.#at >= this.#events.length - 1;
  }

  #save() {
    const session = this.#session;
    const verdicts = this.#of(session);
    if (session === null || verdicts === undefined) return;
    const rows = [...verdicts.values()].sort((a, b) => a.event.startTime - b.event.startTime);
    const text = labelsTable(
      rows.flatMap(({ event, label }) => (label === null ? [] : [{ ...event, label, file: session.name }])),
    );
    session.isSaved = true;
    save(`${session.name.replace(/\.[^.]+$/, "")}.labels.csv`, "text/csv", text);
  }
}

/**
 * @param {Session} session
 * @param {SoundEvent} event
 */
async function shareClip(session, event) {
  const clip = await clipOfEvent(session, event);
  const card = canShare() ? await cardOfEvent(session, event) : null;
  if (clip) await shareOrSave(clip, `${nameOf(event.label)}, ${clock(event.startTime)}`, card);
}

/**
 * @param {Session} session
 * @param {SoundEvent} event
 */
async function saveCard(session, event) {
  const card = await cardOfEvent(session, event);
  if (card) saveFile(card);
}

/** @param {SoundEvent} event */
function keyOf({ labelIndex, startTime, endTime }) {
  return `${labelIndex}:${startTime}:${endTime}`;
}
