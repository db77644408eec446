// Runs beside the page, in the audio thread: hands the microphone's samples on, 16 bit, in blocks of about 20 ms.

const BLOCK = 0.02; // seconds

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(BLOCK * sampleRate));
    this.filled = 0;
  }

  process([input]) {
    const channels = input.length;
    for (let i = 0; channels && i < input[0].length; i++) {
      let sample = 0;
      for (const channel of input) sample += channel[i] / channels;
      this.block[this.filled++] = Math.round(Math.min(Math.max(sample, -1), 1) * 32767);
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
