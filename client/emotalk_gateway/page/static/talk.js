// A conversation whose face comes as pictures: a text or the microphone in, sound and pictures out. Rule: the sound decides; a
// picture is shown when its moment is heard.

import { LiveClock } from "./clocks.js";
import { Microphone } from "./microphone.js";
import { Pictures, coding } from "./pictures.js";
import { Refusal } from "./refusal.js";

const LOST = { error: "Lost", message: "the connection to the server was lost" };
const AHEAD_S = 0.1; // from the first picture of a text to its sound

export class Talk {
  // told: called with {type, …} of what happens: started, end, error.
  static async open(gateway, canvas, look, told) {
    const talk = new Talk(told);
    talk.context = new AudioContext();
    talk.microphone = null;
    const start = { type: "start", sample_rate: talk.context.sampleRate, format: "int16", frames: await coding(), ...look };
    await talk.connect(gateway, canvas, { ...start, ...(gateway.token ? { token: gateway.token } : {}) });
    return talk;
  }

  constructor(told) {
    this.told = told;
    this.pictures = null;
    this.listening = null; // clock of the microphone
    this.saying = null; // {sentences, began} of a text
    this.samples = 0;
    this.heardAt = 0;
  }

  connect(gateway, canvas, start) {
    this.socket = new WebSocket(gateway.stream);
    this.socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      this.socket.onopen = () => this.socket.send(JSON.stringify(start));
      this.socket.onclose = () => this.failed(new Refusal(LOST), reject);
      this.socket.onmessage = ({ data }) => {
        if (typeof data !== "string") {
          this.pictures.take(data);
          this.came();
          return;
        }
        const said = JSON.parse(data);
        if (said.type === "started") {
          this.pictures = new Pictures(canvas, said.video, () => this.send({ type: "keyframe" }));
          resolve();
        } else if (said.type === "sentence") {
          this.saying?.sentences.push(said);
        } else if (said.type === "error") {
          this.failed(new Refusal(said), reject);
        }
        this.told(said);
      };
    });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Say `text`.
  say(text) {
    this.saying = { sentences: [], began: null, next: 0 };
    this.send({ type: "text", text });
  }

  // Listen to the microphone, until `hush`.
  async listen() {
    this.samples = 0;
    this.heardAt = 0;
    this.microphone = await Microphone.open((block) => {
      this.samples += block.length;
      this.heardAt = performance.now();
      this.socket.send(block);
    });
    if (this.microphone.rate !== this.context.sampleRate) throw new Error("the microphone has another rate");
    this.listening = new LiveClock(() => this.spoken());
  }

  hush() {
    this.microphone?.close();
    this.microphone = null;
    this.send({ type: "end", keep: true });
  }

  // Seconds of speech by now, evenly: blocks come in bursts.
  spoken() {
    return this.samples ? this.samples / this.context.sampleRate + (performance.now() - this.heardAt) / 1000 : 0;
  }

  came() {
    const newest = this.pictures.newest;
    if (newest !== null) this.listening?.came(newest);
  }

  // Seconds of the utterance whose picture is due; null: none is.
  get time() {
    if (this.listening) return this.listening.time(this.pictures.newest ?? this.pictures.shown.time);
    if (!this.saying) return null;
    return this.saying.began === null ? null : this.context.currentTime - this.saying.began;
  }

  // Once for every picture of the screen.
  draw() {
    if (this.saying) this.play();
    this.pictures?.draw(this.time);
  }

  // Give the sentences that came to the loudspeaker, from the first picture on.
  play() {
    const { saying, context } = this;
    if (saying.began === null) {
      if (this.pictures.newest === null || !saying.sentences.length) return;
      context.resume();
      saying.began = context.currentTime + AHEAD_S;
    }
    for (; saying.next < saying.sentences.length; saying.next += 1) {
      const { audio, sample_rate: rate, start } = saying.sentences[saying.next];
      const bytes = Uint8Array.from(atob(audio), (letter) => letter.charCodeAt(0));
      const samples = Float32Array.from(new Int16Array(bytes.buffer), (value) => value / 32768);
      const buffer = context.createBuffer(1, samples.length, rate);
      buffer.copyToChannel(samples, 0);
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(context.destination);
      // One that comes too late moves all that follows: sound and pictures together.
      saying.began = Math.max(saying.began, context.currentTime - start);
      source.start(saying.began + start);
    }
  }

  failed(error, reject) {
    if (this.over) return;
    this.close();
    reject(error);
    this.told({ type: "lost", error });
  }

  close() {
    this.over = true;
    this.microphone?.close();
    this.pictures?.close();
    this.socket.close();
    if (this.context.state !== "closed") this.context.close();
  }
}
