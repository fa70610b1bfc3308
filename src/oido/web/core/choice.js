// SPDX-License-Identifier: Apache-2.0

/*
 * Which of the classes that are heard at one time are told: one row for each sound. The rules are those of
 * oido.events.choice, which tells them; tests/vectors holds both to the same examples.
 */

const NEAR = 0.5; // of the strongest's score, what an unrelated one needs
const WINS = 0.9; // a sibling weaker than this share of the other's score has lost to it
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
    return this.#keepsAll ? kept : this.#withoutTies(kept, ordered, known);
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
      const isAbove = this.#isAbove(span, other);
      const isRelated = isAbove || this.#isAbove(other, span);
      if (isAbove || (!isRelated && strength(span) < NEAR * strength(other))) {
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
   * Each group of siblings that none has won as their parent; all strongest first.
   * @template {Timed} T
   * @param {T[]} kept
   * @param {T[]} spans
   * @param {(span: T) => number} strength
   */
  #withoutTies(kept, spans, strength) {
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
        const tied = left.filter(
          (span) => same.includes(span) && isChild(span, parent) && strength(span) >= WINS * strength(best),
        );
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
