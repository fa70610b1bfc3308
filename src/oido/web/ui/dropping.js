// SPDX-License-Identifier: Apache-2.0

import { byId } from "./elements.js";

/**
 * Calls onFile with a file that is dropped anywhere on the page, onPaste with one that is pasted.
 * @param {(file: File) => void} onFile
 * @param {(file: File) => void} onPaste
 */
export function onDrop(onFile, onPaste) {
  const veil = byId("drop");
  const hasFile = (/** @type {DragEvent} */ event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    veil.hidden = true;
    const [file] = event.dataTransfer?.files ?? [];
    if (file) onFile(file);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) onPaste(file);
  });
}
