// SPDX-License-Identifier: Apache-2.0

/*
 * The parts of the page that show one session: its picture, what is heard now, and its events. They are made when
 * there is something to show.
 */

import { Bars } from "./bars.js";
import { byId } from "./elements.js";
import { Found } from "./found.js";
import { Now } from "./now.js";
import { Picture } from "./picture.js";

/** @import { WindowScores } from "../types.js" */
/** @import { Session } from "./session.js" */

export class SessionView {
  #now = new Now(new Bars(byId("bars"), 5));
  #found;
  #picture;
  #onEvents;
  /** @type {Session | null} */
  #session = null;

  /**
   * onPlaying(isPlaying): its sound; onEvents(): they are others now.
   * @param {{onPlaying: (isPlaying: boolean) => void, onEvents: () => void}} handlers
   */
  constructor({ onPlaying, onEvents }) {
    this.#onEvents = onEvents;
    this.#found = new Found({
      onPlay: (event) => this.#picture.play(event.startTime, event.endTime),
      onChange: () => this.#eventsChanged(),
    });
    this.#picture = new Picture({ onPlaying, onTime: (seconds) => this.#at(seconds) });
    document.fonts.ready.then(() => this.repaint()); // canvases do not wait for their letters
  }

  /** The one on the screen. */
  get session() {
    return this.#session;
  }

  get isPlaying() {
    return this.#picture.isPlaying;
  }

  /** The place in the sound, seconds. */
  get place() {
    return this.#picture.place;
  }

  /** How many events there are, in words. */
  get countText() {
    return this.#found.countText;
  }

  /**
   * Shows a session from its beginning, or nothing.
   * @param {Session | null} session
   */
  show(session) {
    if (this.#session === null && session !== null) scrollTo(0, 0); // whoever was at the settings sees what comes
    this.#session = session;
    this.#picture.show(session);
    this.#found.show(session);
    if (session === null) this.#now.clear();
    else if (session.isLive && !session.isOver) this.#now.start();
    else this.#now.whole(session);
  }

  /** More of a recording was heard. */
  refresh() {
    this.#found.refresh();
    this.#redraw();
  }

  /** All of a recording was heard. */
  finish() {
    this.#found.show(this.#session);
    this.#redraw();
  }

  /**
   * The next window of what is listened to.
   * @param {WindowScores} window
   */
  window({ index }) {
    const session = this.#session;
    if (session === null) return;
    for (const event of session.ongoing) this.#found.announce(event);
    if (!this.isPlaying) this.#now.follow(session, index);
    this.#found.refresh();
  }

  /** Live sound moved on. */
  moved() {
    this.#picture.moved();
  }

  /**
   * Goes to a time, and plays nothing.
   * @param {number} seconds
   */
  look(seconds) {
    this.#picture.look(seconds);
  }

  /**
   * Makes the events of a session that is not on the screen, by the threshold of those that are.
   * @param {Session} session
   */
  makeEvents(session) {
    this.#found.makeEvents(session);
  }

  /** The same in another language. */
  again() {
    if (this.#session === null) return;
    this.#found.refresh();
    this.#picture.redraw();
    this.#now.again(this.#session);
  }

  /** In other colours. */
  repaint() {
    this.#picture.repaint();
  }

  #redraw() {
    this.#picture.redraw();
    if (this.#session !== null && !this.isPlaying) this.#now.whole(this.#session);
  }

  #eventsChanged() {
    this.#picture.redraw();
    this.#onEvents();
    if (this.#session?.isOver && !this.isPlaying) this.#now.whole(this.#session);
  }

  /** @param {number} seconds the place in the sound */
  #at(seconds) {
    this.#found.mark(seconds);
    const session = this.#session;
    if (session !== null && (session.isOver || this.isPlaying)) this.#now.at(session, seconds);
  }
}
