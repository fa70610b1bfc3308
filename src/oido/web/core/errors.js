// SPDX-License-Identifier: Apache-2.0

/**
 * What went wrong, as one sentence for the user. `kind` is the name of the error in Python
 * (oido.errors): "ModelFormatError", "AudioError", "OptionError", "MicrophoneError", "AbortError"...
 */
export class OidoError extends Error {
  /** The name of the model that it is about, where it is about one. */
  about = "";

  /**
   * @param {string} kind
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(kind, message, options) {
    super(message, options);
    this.name = kind;
    this.kind = kind;
  }
}

/**
 * Throws the AbortError of a signal that was given up.
 * @param {AbortSignal | null} [signal]
 */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw new OidoError("AbortError", "it was stopped");
}

/**
 * The kind of an OidoError; undefined for whatever else was thrown.
 * @param {unknown} error
 */
export function kindOf(error) {
  return error instanceof OidoError ? error.kind : undefined;
}

/**
 * What an error says, whoever threw it.
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
