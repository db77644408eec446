// Speech as a WAV file: 16 bit, one channel (RIFF WAVE, format 1).

const HEADER = 44;

// blocks: Int16Arrays; skipped: samples to leave out at the beginning.
export function wav(blocks, rate, skipped = 0) {
  const sound = new Blob(blocks).slice(skipped * 2);
  const bytes = sound.size;
  const view = new DataView(new ArrayBuffer(HEADER));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER - 8 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // size of what follows
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a sample
  view.setUint16(34, 16, true); // bits
  text(36, "data");
  view.setUint32(40, bytes, true);
  return new File([view, sound], "speech.wav", { type: "audio/wav" });
}
