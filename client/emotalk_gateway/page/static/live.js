// Speech that goes on: the microphone's samples out, frames in, and what was said is kept for playing it again.

import { LiveClock } from "./clocks.js";
import { Microphone } from "./microphone.js";
import { Refusal } from "./refusal.js";
import { Track } from "./track.js";
import { wav } from "./wav.js";

const LOST = { error: "Lost", message: "the connection to the server was lost" };
const PATIENCE = 15000; // milliseconds that the last frames may take

export class Live {
  // lost: called with the error if the session ends on its own.
  static async start(gateway, options, lost) {
    const live = new Live(lost);
    live.microphone = await Microphone.open((block) => live.heard(block));
    try {
      await live.connect(gateway, options);
    } catch (error) {
      live.close();
      throw error;
    }
    return live;
  }

  constructor(lost) {
    this.lost = lost;
    this.blocks = [];
    this.samples = 0;
    this.sent = 0;
    this.heardAt = 0;
    this.track = null;
    this.clock = new LiveClock(() => this.spoken());
  }

  // Seconds of speech by now, evenly: blocks come in bursts.
  spoken() {
    if (!this.samples) return 0;
    return this.samples / this.microphone.rate + (performance.now() - this.heardAt) / 1000;
  }

  get time() {
    return this.track ? this.clock.time(Math.max(0, this.track.end - 1 / this.track.fps)) : 0;
  }

  heard(block) {
    this.blocks.push(block);
    this.samples += block.length;
    this.heardAt = performance.now();
    this.send();
  }

  // What was not sent yet; speech from before the server was ready goes out with the first block.
  send() {
    if (!this.track || this.socket.readyState !== WebSocket.OPEN) return;
    while (this.sent < this.blocks.length) this.socket.send(this.blocks[this.sent++]);
  }

  connect(gateway, options) {
    const start = {
      type: "start",
      sample_rate: this.microphone.rate,
      format: "int16",
      frames: "json",
      options,
      ...(gateway.token ? { token: gateway.token } : {}),
    };
    this.socket = new WebSocket(gateway.stream);
    this.socket.onopen = () => this.socket.send(JSON.stringify(start));
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = () => this.failed(new Refusal(LOST));
    return new Promise((resolve, reject) => {
      this.started = resolve;
      this.rejected = reject;
    });
  }

  take(message) {
    if (message.type === "started") {
      this.track = new Track(message.names, message.fps);
      this.started();
    } else if (message.type === "frames") {
      for (const { timecode, blendshapes } of message.frames) this.track.put(timecode, blendshapes);
      this.clock.came(this.track.end - 1 / this.track.fps);
    } else if (message.type === "end") {
      this.track.finish();
      this.finished?.();
    } else if (message.type === "error") {
      this.failed(new Refusal(message));
    }
  }

  failed(error) {
    if (this.over) return;
    this.close();
    if (!this.track) this.rejected(error);
    else if (this.finished) this.finished(error);
    else this.lost(error);
  }

  // No more speech; resolves when all frames are there (or an error says why not) with what was said, as a file.
  async stop() {
    this.microphone.close();
    this.send();
    const error = await new Promise((resolve) => {
      this.finished = resolve;
      this.socket.send(JSON.stringify({ type: "end" }));
      setTimeout(() => resolve(new Refusal(LOST)), PATIENCE);
    });
    this.close();
    this.track.finish();
    return { error, file: wav(this.blocks.slice(0, this.sent), this.microphone.rate) };
  }

  close() {
    this.over = true;
    this.microphone.close();
    this.socket?.close();
  }
}
