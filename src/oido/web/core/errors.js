// SPDX-License-Identifier: Apache-2.0

/**
 * What went wrong, as one sentence for the user. `kind` is the name of the error in Python
 * (oido.errors): "ModelFormatError", "AudioError", "OptionError", "MicrophoneError", "AbortError"...
 */
export class OidoError extends Error {
  constructor(kind, message, options) {
    super(message, options);
    this.name = kind;
    this.kind = kind;
  }
}

/** Throws the AbortError of a signal that was given up. */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw new OidoError("AbortError", "it was stopped");
}
