// SPDX-License-Identifier: Apache-2.0

/*
 * Which of the classes that are heard at one time are told: one row for each sound. The rules are those of
 * oido.events.spans, which tells them; tests/vectors holds both to the same examples.
 */

const NEAR = 0.5; // of the strongest's score, what an unrelated one needs
const HOLDS = 0.2; // of a more general one's score, what a specific one needs to stand for it
export const SHARED = 0.5; // of a span's length, what another must cover to stand for it

/**
 * Of each class: the columns of all classes above it, and of those right above it.
 * @typedef {{ancestors: number[][], parents: number[][]}} Kinship
 *
 * A class in some time, as a choice sees it.
 * @typedef {{index: number, start: number, end: number, also: Set<number>}} Timed
 */

export class Choice {
  #ancestors;
  #parents;
  #keepsAll;

  /**
   * kinship: null where none is above another. keepsAll: nothing goes.
   * @param {Kinship | null} kinship
   * @param {boolean} [keepsAll]
   */
  constructor(kinship, keepsAll = false) {
    this.#ancestors = kinship?.ancestors ?? [];
    this.#parents = kinship?.parents ?? [];
    this.#keepsAll = keepsAll;
  }

  /**
   * Those that are told, strongest first.
   * @template {Timed} T
   * @param {T[]} spans
   * @param {(span: T) => number} strength
   * @returns {T[]}
   */
  choose(spans, strength) {
    const strengths = new Map(spans.map((span) => [span, strength(span)]));
    /** @type {(span: T) => number} */
    const known = (span) => strengths.get(span) ?? 0;
    const ordered = spans.toSorted((a, b) => known(b) - known(a));
    const kept = ordered.filter((span) => this.stays(span, ordered, known));
    return this.#keepsAll ? kept : this.#withoutTies(kept, ordered);
  }

  /**
   * Whether a span is told beside others; if not, it is noted in what stands for it.
   * @template {Timed} T
   * @param {T} span
   * @param {T[]} others
   * @param {(span: T) => number} strength
   */
  stays(span, others, strength) {
    if (this.#keepsAll) return true;
    let stays = true;
    for (const other of others) {
      const common = Math.min(span.end, other.end) - Math.max(span.start, other.start);
      if (other === span || common < SHARED * (span.end - span.start)) continue;
      const own = strength(span);
      const its = strength(other);
      let goes = own < NEAR * its;
      if (this.#isAbove(span, other)) goes = its >= HOLDS * own;
      else if (this.#isAbove(other, span)) goes = own < HOLDS * its;
      if (goes) {
        other.also.add(span.index);
        stays = false;
      }
    }
    return stays;
  }

  /**
   * @param {Timed} one
   * @param {Timed} other
   */
  #isAbove(one, other) {
    return this.#ancestors[other.index]?.includes(one.index) ?? false;
  }

  /**
   * Each group of siblings as their parent; all strongest first.
   * @template {Timed} T
   * @param {T[]} kept
   * @param {T[]} spans
   */
  #withoutTies(kept, spans) {
    /** @type {(span: T, parent: T) => boolean} */
    const isChild = (span, parent) => this.#parents[span.index]?.includes(parent.index) ?? false;
    /** @type {T[]} */
    const chosen = [];
    let left = kept;
    while (left.length) {
      const [best, ...rest] = left;
      left = rest;
      let row = best;
      const same = spans.filter((span) => span.start === best.start && span.end === best.end);
      for (const parent of same.filter((span) => isChild(best, span))) {
        const tied = left.filter((span) => same.includes(span) && isChild(span, parent));
        if (!tied.length) continue;
        left = left.filter((span) => !tied.includes(span));
        const group = [best, ...tied];
        for (const span of group) parent.also.add(span.index);
        for (const index of group.flatMap((span) => [...span.also])) {
          if (index !== parent.index) parent.also.add(index);
        }
        row = parent;
        break;
      }
      chosen.push(row);
    }
    return chosen;
  }
}
