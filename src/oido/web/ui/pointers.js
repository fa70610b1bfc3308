// SPDX-License-Identifier: Apache-2.0

const MOVED = 6; // pixels after which a press is no tap

/**
 * What pointers and the wheel do on an element, in its own pixels: onTap(x), onPan(dx) by one finger or the
 * mouse, onZoom(factor, x) by two fingers or the wheel with Ctrl. Up and down the page itself scrolls.
 * @param {HTMLElement} element
 * @param {{onTap: (x: number) => void, onPan: (dx: number) => void, onZoom: (factor: number, x: number) => void}} handlers
 */
export function followPointers(element, { onTap, onPan, onZoom }) {
  /** @type {Map<number, number>} */
  const places = new Map();
  let travelled = 0;

  const x = (/** @type {MouseEvent} */ event) => event.clientX - element.getBoundingClientRect().left;

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    if (places.size === 0) travelled = 0;
    places.set(event.pointerId, x(event));
  });

  element.addEventListener("pointermove", (event) => {
    const [before, now] = [places.get(event.pointerId), x(event)];
    if (before === undefined) return;
    if (places.size === 1) {
      travelled += Math.abs(now - before);
      if (travelled > MOVED) onPan(now - before);
    } else {
      const [other] = [...places].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const gap = (/** @type {number} */ place) => Math.max(20, Math.abs(place - other));
      travelled = Infinity;
      onZoom(gap(before) / gap(now), (now + other) / 2);
    }
    places.set(event.pointerId, now);
  });

  const leave = (/** @type {boolean} */ isTap) => (/** @type {PointerEvent} */ event) => {
    if (!places.delete(event.pointerId)) return;
    if (isTap && places.size === 0 && travelled <= MOVED) onTap(x(event));
  };
  element.addEventListener("pointerup", leave(true));
  element.addEventListener("pointercancel", leave(false));

  element.addEventListener(
    "wheel",
    (event) => {
      const dx = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
      if (event.ctrlKey) onZoom(Math.exp(event.deltaY / 200), x(event));
      else if (Math.abs(dx) > Math.abs(event.deltaY) || event.shiftKey) onPan(-dx);
      else return;
      event.preventDefault();
    },
    { passive: false },
  );
}
