// The place in a clip. Rule: the sound decides; only where there is no sound, a clock of our own stands in for it.

// As much of an audio element as the player needs, without sound.
export class SilentClock extends EventTarget {
  constructor(duration) {
    super();
    this.duration = duration;
    this.place = 0;
    this.since = null;
  }

  get paused() {
    return this.since === null;
  }

  get currentTime() {
    const place = this.since === null ? this.place : this.place + (performance.now() - this.since) / 1000;
    return Math.min(place, this.duration);
  }

  set currentTime(seconds) {
    this.place = Math.min(Math.max(seconds, 0), this.duration);
    if (this.since !== null) this.since = performance.now();
    this.dispatchEvent(new Event("seeked"));
  }

  get ended() {
    return this.currentTime >= this.duration;
  }

  async play() {
    this.place = this.ended ? 0 : this.currentTime;
    this.since = performance.now();
  }

  pause() {
    this.place = this.currentTime;
    this.since = null;
  }
}

// The time of speech that goes on. A frame comes a little after its sound, so the face is shown that much later. `late` is the
// most that frames came late recently, so that it moves evenly and no frame is missed.
export class LiveClock {
  static SLACK = 0.03; // seconds: frames come in twos
  static RECOVERS = 0.1; // seconds of lateness that are forgotten in a second

  // spoken: a function that says how many seconds were spoken by now.
  constructor(spoken) {
    this.spoken = spoken;
    this.late = 0;
    this.shown = 0;
    this.before = 0;
  }

  // Frames up to `time` seconds have come.
  came(time) {
    this.late = Math.max(this.late, this.spoken() - time + LiveClock.SLACK);
  }

  // Seconds to show now; never back, never beyond `end`, the time of the newest frame.
  time(end) {
    const now = this.spoken();
    this.late = Math.max(0, this.late - (now - this.before) * LiveClock.RECOVERS);
    this.before = now;
    this.shown = Math.max(this.shown, Math.min(now - this.late, end));
    return this.shown;
  }
}
