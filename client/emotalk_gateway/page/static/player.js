// Plays a clip with its frames. Rule: sound never runs ahead of the face; it waits for frames that are still to come.

import { SilentClock } from "./clocks.js";

const AHEAD = 0.5; // seconds of frames that must be there before a clip that had to wait goes on
const MARGIN = 0.1; // seconds before the last frame at which it starts to wait: a few pictures

export class Player extends EventTarget {
  constructor() {
    super();
    this.audio = new Audio();
    this.audio.preload = "auto";
    this.clock = this.audio;
    this.track = null;
    this.wanted = false;
    this.url = null;
    for (const kind of ["durationchange", "ended", "seeked"]) this.audio.addEventListener(kind, () => this.heard(kind));
    this.audio.addEventListener("error", () => this.fallSilent());
  }

  // Take a track, and its sound from `source`: a Blob, or an address.
  load(track, source) {
    this.pause();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = source instanceof Blob ? URL.createObjectURL(source) : null;
    this.track = track;
    this.clock = this.audio;
    this.audio.src = this.url ?? source;
    this.changed();
  }

  // Take nothing to play: a live face has the stage.
  unload() {
    this.pause();
    this.track = null;
    this.audio.removeAttribute("src");
    this.changed();
  }

  get time() {
    return this.clock.currentTime;
  }

  // Seconds of the clip, as far as they are known by now.
  get duration() {
    if (!this.track) return 0;
    return Number.isFinite(this.clock.duration) ? this.clock.duration : this.track.end;
  }

  get waiting() {
    return this.wanted && this.clock.paused;
  }

  play() {
    if (!this.track) return;
    if (this.clock.ended) this.clock.currentTime = 0;
    this.wanted = true;
    this.turn();
    this.changed();
  }

  pause() {
    this.wanted = false;
    this.clock.pause();
    this.changed();
  }

  toggle() {
    if (this.wanted) this.pause();
    else this.play();
  }

  seek(seconds) {
    if (!this.track) return;
    this.clock.currentTime = Math.min(Math.max(seconds, 0), this.duration);
    this.changed();
  }

  // `frames` frames on, from frame to frame.
  step(frames) {
    if (!this.track) return;
    this.pause();
    const here = Math.round(this.time * this.track.fps);
    // Half a thousandth further: a time that is rounded down by the sound's decoder still lies in the frame.
    this.seek((here + frames) / this.track.fps + 0.0005);
  }

  // Once for every picture: go on, or wait for frames.
  turn() {
    if (!this.wanted) return;
    if (this.clock instanceof SilentClock && this.clock.ended) this.heard("ended");
    const left = this.track.complete ? Infinity : this.track.end - this.time;
    if (this.clock.paused && this.wanted && left > AHEAD) {
      this.clock.play().catch((error) => this.refused(error));
    } else if (!this.clock.paused && left < MARGIN) {
      this.clock.pause();
    }
  }

  heard(kind) {
    if (kind === "ended") {
      this.wanted = false;
      this.clock.pause();
    }
    this.changed();
  }

  refused(error) {
    // A pause, or another clip, came before the sound had begun: nobody's mistake.
    if (error.name === "AbortError") return;
    if (error.name !== "NotAllowedError") return;
    this.wanted = false;
    this.changed();
  }

  // The browser cannot play this file, though the server could read it.
  fallSilent() {
    if (!this.track || !this.audio.hasAttribute("src")) return;
    const track = this.track;
    this.clock = new SilentClock(0);
    Object.defineProperty(this.clock, "duration", { get: () => track.end });
    this.dispatchEvent(new Event("silent"));
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}
