// SPDX-License-Identifier: Apache-2.0

/* What the tests let the browser do: hear clips, and give all that came of it. */

import { openDevice } from "../core/device_engine.js";
import { EventFinder } from "../core/events.js";

export async function samplesOf(url) {
  return new Float32Array(await (await fetch(url)).arrayBuffer());
}

/** Float32Arrays, one behind the other, as base64. */
export function packed(arrays) {
  const bytes = arrays.flatMap((array) => [...new Uint8Array(array.buffer, array.byteOffset, array.byteLength)]);
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.slice(at, at + 4096));
  return btoa(text);
}

export function told(windows) {
  return {
    count: windows.length,
    index: windows.map((window) => window.index),
    times: windows.map((window) => [window.startTime, window.endTime]),
    scores: packed(windows.map((window) => window.scores)),
    probabilities: windows[0]?.probabilities ? packed(windows.map((window) => window.probabilities)) : null,
    novelty: windows[0]?.novelty == null ? null : windows.map((window) => window.novelty),
  };
}

export function eventsOf(engine, windows, samples, options = {}) {
  const finder = new EventFinder({ ...engine.info, calibrator: engine.calibrator, ...options });
  const early = finder.addSamples(samples);
  return [...early, ...windows.flatMap((window) => finder.push(window)), ...finder.flush(samples.length)];
}

/** As if this browser knew no relaxed SIMD: the worker is started by a script that takes it away. */
function pretendOldBrowser() {
  const { Worker } = self;
  self.Worker = function (url, options) {
    return new Worker(`/tests/old_browser.mjs?${new URL(url).pathname}`, options);
  };
}

export async function hearClips({ modelUrl, clips, compat = false, events = {}, ...options }) {
  if (compat) pretendOldBrowser();
  const engine = await openDevice({ modelUrl, ...options });
  const heard = [];
  for (const url of clips) {
    const samples = await samplesOf(url);
    const windows = await engine.hear(samples);
    heard.push({ ...told(windows), events: eventsOf(engine, windows, samples, events) });
  }
  const { thresholds, kinship, ...info } = engine.info;
  engine.close();
  return { info: { ...info, thresholds: thresholds && [...thresholds] }, heard };
}
