// SPDX-License-Identifier: Apache-2.0

/* The timeline with its buttons, and the sound that is played along it. */

import { byId } from "./elements.js";
import { onLanguage, t } from "./language.js";
import { tell } from "./notices.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";

/** @import { Session } from "./session.js" */

const TAIL_SECONDS = 0.1; // behind an event, so that its end is not cut

export class Picture {
  /** @type {Session | null} */
  #session = null;
  #timeline;
  #player;

  /**
   * onPlaying(isPlaying); onTime(seconds): the place in the sound.
   * @param {{onPlaying: (isPlaying: boolean) => void, onTime: (seconds: number) => void}} handlers
   */
  constructor({ onPlaying, onTime }) {
    this.#player = new Player(byId("audio", HTMLAudioElement), {
      onTime: (seconds) => {
        this.#timeline.setPlayhead(seconds);
        onTime(seconds);
      },
      onChange: (isPlaying) => {
        this.#render();
        onPlaying(isPlaying);
      },
    });
    this.#timeline = new Timeline(byId("stage"), byId("canvas", HTMLCanvasElement), {
      onSeek: (seconds, { play }) => {
        this.#timeline.stopFollowing();
        this.#timeline.setPlayhead(seconds);
        onTime(this.#timeline.playhead);
        if (play || this.isPlaying) this.play(seconds);
      },
      onToggle: () => this.#toggle(),
      onView: () => this.#render(),
      onTrouble: (error) => tell(error, this.#session?.name),
    });
    byId("play").addEventListener("click", () => this.#toggle());
    byId("zoom-in").addEventListener("click", () => this.#timeline.zoom(0.5));
    byId("zoom-out").addEventListener("click", () => this.#timeline.zoom(2));
    byId("zoom-all").addEventListener("click", () => this.#timeline.showAll());
    onLanguage(() => this.#render());
  }

  get isPlaying() {
    return this.#player.isPlaying;
  }

  /**
   * Shows a session, or nothing.
   * @param {Session | null} session
   */
  show(session) {
    this.#session = session;
    this.#player.load(session);
    if (session !== null) this.#timeline.show(session);
    this.#render();
  }

  /**
   * Plays from a time; with an end, only up to there.
   * @param {number} from
   * @param {number | null} [to]
   */
  async play(from, to = null) {
    if (this.#session?.audio == null) return;
    this.#timeline.stopFollowing();
    this.#timeline.setPlayhead(from);
    try {
      await this.#player.play(from, to === null ? Infinity : to + TAIL_SECONDS);
    } catch (error) {
      tell(error, this.#session?.name);
    }
  }

  /** The place in the sound, seconds. */
  get place() {
    return this.#timeline.playhead;
  }

  /**
   * Goes to a time, and plays nothing.
   * @param {number} seconds
   */
  look(seconds) {
    this.#timeline.stopFollowing();
    this.#timeline.setPlayhead(seconds);
  }

  /** Live sound moved on. */
  moved() {
    if (this.#timeline.isFollowing) this.#timeline.redraw();
  }

  /** The events are others, or have other names. */
  redraw() {
    this.#timeline.redraw();
    if (this.#session !== null) this.#timeline.describe();
  }

  /** In other colours. */
  repaint() {
    this.#timeline.repaint();
  }

  #toggle() {
    if (this.isPlaying) {
      this.#player.pause();
      return;
    }
    const { playhead } = this.#timeline;
    const isAtEnd = playhead >= (this.#session?.duration ?? 0) - 0.05;
    this.play(isAtEnd ? 0 : playhead);
  }

  #render() {
    byId("play").textContent = t(this.isPlaying ? "pause" : "play");
    byId("play", HTMLButtonElement).disabled = this.#session?.audio == null;
    const isLive = this.#session !== null && this.#session.isLive && !this.#session.isOver;
    byId("zoom-all").textContent = t(isLive ? "follow" : "zoomAll");
    byId("zoom-all", HTMLButtonElement).disabled = isLive ? this.#timeline.isFollowing : this.#timeline.isWhole;
  }
}
