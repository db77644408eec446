// Speech that goes on: the microphone's samples out, frames in. Rule: it may go on for hours. Of what was said, the last
// minutes are kept, for playing them again.

import { LiveClock } from "./clocks.js";
import { Microphone } from "./microphone.js";
import { Refusal } from "./refusal.js";
import { Track } from "./track.js";
import { wav } from "./wav.js";

const LOST = { error: "Lost", message: "the connection to the server was lost" };
const SLOW = { error: "Slow", message: "the connection to the server is too slow for live speech" };
const PATIENCE = 15000; // milliseconds that the first answer, or the last frames, may take
const UNSENT_S = 20; // seconds of speech that the connection may be behind

export const KEPT_S = 300; // seconds of sound and frames that are kept
export const SPARE_S = 10; // seconds beyond them after which these are dropped, all at once

export class Live {
  // lost: called with the error if the session ends on its own; avatar: whose face speaks, where it is one of the gateway's.
  static async start(gateway, options, lost, avatar = null) {
    const live = new Live(lost);
    live.avatar = avatar;
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
    this.blocks = []; // those that were sent first
    this.sent = 0; // blocks of them
    this.samples = 0; // that were spoken
    this.dropped = 0; // of them, before the first block
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
    this.forget();
  }

  // Send the blocks that were not sent yet; speech from before the server was ready goes out with the first block.
  send() {
    if (!this.track || this.socket.readyState !== WebSocket.OPEN) return;
    while (this.sent < this.blocks.length) this.socket.send(this.blocks[this.sent++]);
    if (this.socket.bufferedAmount > UNSENT_S * this.microphone.rate * 2) this.failed(new Refusal(SLOW));
  }

  // Drop sound and frames that are older than is kept; seldom, and many at once.
  forget() {
    const most = KEPT_S * this.microphone.rate;
    if (this.samples - this.dropped > most + SPARE_S * this.microphone.rate) {
      let count = 0;
      let dropped = 0;
      while (count < this.sent && this.samples - this.dropped - dropped - this.blocks[count].length >= most) {
        dropped += this.blocks[count++].length;
      }
      this.blocks.splice(0, count);
      this.sent -= count;
      this.dropped += dropped;
    }
    const frames = KEPT_S * (this.track?.fps ?? 0);
    if (this.track && this.track.rows.length > frames + SPARE_S * this.track.fps) {
      this.track.drop(this.track.rows.length - frames);
    }
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
    setTimeout(() => this.track || this.failed(new Refusal(LOST)), PATIENCE);
    return new Promise((resolve, reject) => {
      this.started = resolve;
      this.rejected = reject;
    });
  }

  take(message) {
    if (message.type === "started") {
      this.track = new Track(message.names, message.fps);
      if (this.avatar) this.select(this.avatar);
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

  // Tell the gateway whose face is shown; it answers in words, which change nothing here.
  select(avatar) {
    this.socket.send(JSON.stringify({ type: "avatar_selection", avatar_id: avatar }));
  }

  failed(error) {
    if (this.over) return;
    this.close();
    if (!this.track) this.rejected(error);
    else if (this.finished) this.finished(error);
    else this.lost(error);
  }

  // No more speech; resolves when all frames are there, or `error` says why not, with what is kept of what was said: its
  // sound as a file, and its frames, both from 0 seconds on.
  async stop() {
    this.microphone.close();
    this.send();
    const error = await new Promise((resolve) => {
      this.finished = resolve;
      this.socket.send(JSON.stringify({ type: "end" }));
      setTimeout(() => resolve(new Refusal(LOST)), PATIENCE);
    });
    this.close();
    return { error, ...this.kept() };
  }

  kept() {
    const { track } = this;
    const { rate } = this.microphone;
    // Sound and frames begin together: with the first frame whose sound is there.
    const first = Math.max(track.first, Math.ceil((this.dropped / rate) * track.fps));
    track.drop(Math.min(first - track.first, track.rows.length));
    const skipped = Math.round((first / track.fps) * rate) - this.dropped;
    return { track: track.fromZero(), file: wav(this.blocks.slice(0, this.sent), rate, skipped) };
  }

  close() {
    this.over = true;
    this.microphone.close();
    this.socket?.close();
  }
}
