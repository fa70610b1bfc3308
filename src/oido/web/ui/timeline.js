// SPDX-License-Identifier: Apache-2.0

/* The spectrogram and the events over it, over one axis of time that can be moved and zoomed. */

import { clock, nameOf, t } from "./language.js";
import { valueOf } from "./history.js";
import { LANE, drawAxis, drawFrequencies, drawLanes, drawOthers, drawPlayhead, lanesOf } from "./lanes.js";
import { Spectrogram, contextOf } from "./spectrogram.js";
import { followPointers } from "./pointers.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Session } from "./session.js" */

/**
 * @typedef {{onSeek: (seconds: number, options: {play: boolean}) => void, onToggle: () => void,
 *   onView: () => void, onTrouble: (error: unknown) => void}} Handlers
 */

const SHORTEST_SECONDS = 1;
const AXIS = 24; // pixels
const GUTTER = 40; // on the left, for frequencies
const TOP = 8; // above the first event
const FEWEST_LANES = 4;
const PREPARE_MS = 50; // then what is known of the spectrogram is drawn

export class Timeline {
  #stage;
  #canvas;
  #onSeek;
  /** @type {Session | null} */
  #session = null;
  /** @type {Spectrogram | null} */
  #spectrogram = null;
  #start = 0;
  #seconds = 10;
  #playhead = 0;
  #nLanes = 1;
  #isFollowing = false;
  #isDue = false;
  #isUnreadable = false; // the sound

  /**
   * onSeek(seconds, {play}): somebody points at a time, or wants to hear from there; onToggle(): play or pause;
   * onView(): the view changed, or follows or not; onTrouble(error): the sound cannot be read any more, said once.
   * @param {HTMLElement} stage
   * @param {HTMLCanvasElement} canvas
   * @param {Handlers} handlers
   */
  constructor(stage, canvas, { onSeek, onToggle, onView, onTrouble }) {
    this.#stage = stage;
    this.#canvas = canvas;
    this.#onSeek = onSeek;
    this.onToggle = onToggle;
    this.onView = onView;
    this.onTrouble = onTrouble;
    stage.addEventListener("keydown", (event) => this.#key(event));
    followPointers(stage, {
      onTap: (x) => this.#onSeek(Math.max(0, this.#timeAt(x)), { play: true }),
      onPan: (dx) => this.#look(this.#start - (dx / this.#width) * this.#seconds, this.#seconds),
      onZoom: (factor, x) => this.zoom(factor, this.#timeAt(x)),
    });
    new ResizeObserver(() => this.redraw()).observe(stage);
  }

  get isFollowing() {
    return this.#isFollowing;
  }

  /** Whether everything is in view. */
  get isWhole() {
    return this.#session !== null && this.#seconds >= this.#session.duration;
  }

  /**
   * Shows a session: all of it, or its newest seconds while it is live.
   * @param {Session} session
   */
  show(session) {
    this.#session = session;
    this.#spectrogram = new Spectrogram(session.info.sampleRateHz);
    this.#playhead = 0;
    this.#isUnreadable = false;
    this.#isFollowing = session.isLive && !session.isOver;
    // What comes live shall not push down all that stands below it, each time.
    this.#nLanes = FEWEST_LANES;
    this.#seconds = this.#isFollowing ? (this.#width < 600 ? 12 : 24) : Math.max(SHORTEST_SECONDS, session.duration);
    this.#start = 0;
    this.redraw();
    this.describe();
  }

  /** The newest sound, or all of it. */
  showAll() {
    this.#isFollowing = this.#isLive;
    this.#look(0, this.#isFollowing ? this.#seconds : Math.max(SHORTEST_SECONDS, this.#duration), true);
  }

  /** Stop to go with the newest sound. */
  stopFollowing() {
    this.#isFollowing = false;
  }

  repaint() {
    this.#spectrogram?.repaint();
    this.redraw();
  }

  /** Draw again, at the next frame. */
  redraw() {
    if (this.#isDue || this.#session === null) return;
    this.#isDue = true;
    requestAnimationFrame(async () => {
      const isWhole = await this.#prepare();
      this.#isDue = false;
      if (this.#session !== null) this.#draw(this.#session);
      if (!isWhole) this.redraw();
    });
  }

  /** Makes the picture of the sound in view, some of it at a time; gives whether there is all that can be. */
  async #prepare() {
    const [session, spectrogram] = [this.#session, this.#spectrogram];
    const audio = session?.audio;
    if (!audio || spectrogram === null || this.#isUnreadable) return true;
    if (this.#isFollowing) this.#start = session.duration - this.#seconds;
    const [start, seconds, width] = [this.#start, this.#seconds, this.#width];
    const isSame = () =>
      session === this.#session && start === this.#start && seconds === this.#seconds && width === this.#width;
    try {
      const isWhole = await spectrogram.prepare({ start, seconds, width, audio }, PREPARE_MS);
      return isWhole && isSame();
    } catch (error) {
      if (!isSame()) return false;
      this.#isUnreadable = true;
      this.onTrouble(error);
      return true;
    }
  }

  get playhead() {
    return this.#playhead;
  }

  /** @param {number} seconds */
  setPlayhead(seconds) {
    this.#playhead = Math.max(0, Math.min(seconds, this.#duration));
    const end = this.#start + this.#seconds;
    if (this.#playhead < this.#start || this.#playhead > end) {
      this.#look(this.#playhead - this.#seconds / 10, this.#seconds);
    }
    this.redraw();
    this.describe();
  }

  /**
   * factor < 1 shows less. around: the time that stays where it is.
   * @param {number} factor
   * @param {number} [around]
   */
  zoom(factor, around = this.#isIn(this.#playhead) ? this.#playhead : this.#start + this.#seconds / 2) {
    const seconds = Math.max(SHORTEST_SECONDS, Math.min(this.#longest, this.#seconds * factor));
    const share = (around - this.#start) / this.#seconds;
    this.#look(around - share * seconds, seconds, this.#isFollowing);
  }

  get #longest() {
    return this.#isFollowing ? 600 : Math.max(SHORTEST_SECONDS, this.#duration);
  }

  get #duration() {
    return this.#session?.duration ?? 0;
  }

  get #isLive() {
    return this.#session !== null && this.#session.isLive && !this.#session.isOver;
  }

  /** Of what shows time. */
  get #width() {
    return Math.max(1, this.#stage.clientWidth - GUTTER);
  }

  /** @param {number} time */
  #isIn(time) {
    return time >= this.#start && time <= this.#start + this.#seconds;
  }

  /** @param {number} x */
  #timeAt(x) {
    return this.#start + ((x - GUTTER) / this.#width) * this.#seconds;
  }

  /**
   * @param {number} start
   * @param {number} seconds
   * @param {boolean} [follows]
   */
  #look(start, seconds, follows = false) {
    this.#seconds = seconds;
    this.#start = Math.max(0, Math.min(start, this.#duration - seconds));
    this.#isFollowing = follows && this.#isLive;
    this.redraw();
    this.onView();
  }

  /** @param {Session} session */
  #draw({ duration, audio, events, info }) {
    if (this.#isFollowing) this.#start = duration - this.#seconds;
    const width = this.#width;
    const { lanes, nOthers } = lanesOf(events, this.#start, this.#seconds, width < 600 ? 6 : 7);
    this.#nLanes = Math.max(this.#nLanes, lanes.length);
    const picture = Math.max(TOP + (this.#nLanes + 1) * LANE, audio === null ? 0 : heightFor(width));
    const context = this.#cleared(GUTTER + width, picture + AXIS);
    const view = { start: this.#start, seconds: this.#seconds, width, duration };
    if (audio !== null && this.#spectrogram !== null) {
      drawFrequencies(context, this.#spectrogram, info.sampleRateHz / 2, GUTTER, picture);
    }
    context.save();
    context.translate(GUTTER, 0);
    context.beginPath();
    context.rect(0, 0, width, picture + AXIS);
    context.clip();
    if (audio !== null) this.#spectrogram?.draw(context, { ...view, x: 0, y: 0, height: picture, audio });
    drawAxis(context, view, picture, AXIS);
    drawLanes(context, view, lanes, TOP);
    drawOthers(context, view, nOthers, picture - 14);
    if (!this.#isFollowing) drawPlayhead(context, view, this.#playhead, picture + AXIS);
    context.restore();
  }

  /**
   * The canvas, as large as this, with nothing on it.
   * @param {number} width
   * @param {number} height
   */
  #cleared(width, height) {
    const ratio = devicePixelRatio || 1;
    const canvas = this.#canvas;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    const context = contextOf(canvas);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || this.#session === null) return;
    const { events } = this.#session;
    const step = Math.max(0.5, this.#seconds / 50) * (event.shiftKey ? 10 : 1);
    const to = (/** @type {number} */ seconds) =>
      this.#onSeek(Math.max(0, Math.min(seconds, this.#duration)), { play: false });
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowRight: () => to(this.#playhead + step),
      ArrowUp: () => to(this.#playhead + step),
      ArrowLeft: () => to(this.#playhead - step),
      ArrowDown: () => to(this.#playhead - step),
      PageDown: () => this.#look(this.#start + this.#seconds * 0.9, this.#seconds),
      PageUp: () => this.#look(this.#start - this.#seconds * 0.9, this.#seconds),
      Home: () => to(0),
      End: () => to(this.#duration),
      Enter: () => this.onToggle(),
      " ": () => this.onToggle(),
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.showAll(),
      n: () => this.#toEvent(events, 1, to),
      p: () => this.#toEvent(events, -1, to),
    };
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  /**
   * @param {SoundEvent[]} events
   * @param {1 | -1} direction
   * @param {(seconds: number) => void} to
   */
  #toEvent(events, direction, to) {
    const starts = events.map((event) => event.startTime).sort((a, b) => a - b);
    const near = 1e-6;
    const next = starts.find((start) => start > this.#playhead + near);
    const before = starts.findLast((start) => start < this.#playhead - near);
    const start = direction > 0 ? next : before;
    if (start !== undefined) to(start);
  }

  /** What a screen reader says of the place: the time, and what is heard there. */
  describe() {
    if (this.#session === null) return;
    const time = this.#playhead;
    const { duration, events } = this.#session;
    const heard = events
      .filter((event) => event.startTime <= time && time < event.endTime)
      .sort((a, b) => valueOf(b) - valueOf(a))
      .slice(0, 3)
      .map((event) => nameOf(event.label));
    const place = t("timelineValue", { time: clock(time), duration: clock(duration) });
    this.#stage.setAttribute("aria-valuemin", "0");
    this.#stage.setAttribute("aria-valuemax", duration.toFixed(1));
    this.#stage.setAttribute("aria-valuenow", time.toFixed(1));
    this.#stage.setAttribute("aria-valuetext", [place, ...heard].join(", "));
  }
}

/** @param {number} width */
function heightFor(width) {
  if (width < 600) return 230;
  return width < 1500 ? 300 : 380;
}
