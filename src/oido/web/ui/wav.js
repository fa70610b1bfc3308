// SPDX-License-Identifier: Apache-2.0

/**
 * A WAV file (16 bits, mono) of pieces of samples: Float32Array in [-1, 1], or Int16Array as they are.
 */
export function wavFile(pieces, sampleRateHz, name) {
  const whole = pieces.map(toInt16);
  const bytes = whole.reduce((sum, piece) => sum + piece.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // one channel
  header.setUint32(24, sampleRateHz, true);
  header.setUint32(28, 2 * sampleRateHz, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new File([header, ...whole], name, { type: "audio/wav" });
}

/** As oido.signal decodes them: 32768 is one. */
export function toInt16(samples) {
  if (samples instanceof Int16Array) return samples;
  const whole = new Int16Array(samples.length);
  for (let i = 0; i < whole.length; i++) whole[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32768)));
  return whole;
}
