// Frames over time. Rule: what is shown between two frames lies on the straight line between them; before the first and
// after the last, the face stands still.

export class Track {
  // names: blendshape of each weight; fps: frames a second; start: seconds of the first frame.
  constructor(names, fps, start = 0) {
    this.names = names;
    this.fps = fps;
    this.start = start;
    this.rows = [];
    this.complete = false;
    this.index = new Map(names.map((name, i) => [name, i]));
  }

  // Seconds up to which there are frames.
  get end() {
    return this.start + this.rows.length / this.fps;
  }

  // A frame at its own time; one that was there before is replaced.
  put(timecode, weights) {
    const frame = Math.round((timecode - this.start) * this.fps);
    if (frame < 0 || frame > this.rows.length) throw new RangeError(`a frame at ${timecode} s, after ${this.end} s`);
    this.rows[frame] = weights;
  }

  // No frame comes after the first `count`.
  finish(count = this.rows.length) {
    this.rows.length = Math.min(count, this.rows.length);
    this.complete = true;
  }

  // Weights at `time` seconds, and the frame that they begin at.
  at(time) {
    const last = this.rows.length - 1;
    if (last < 0) return { frame: 0, weights: this.names.map(() => 0) };
    const place = Math.min(Math.max((time - this.start) * this.fps, 0), last);
    const frame = Math.floor(place);
    const from = this.rows[frame];
    const to = this.rows[Math.min(frame + 1, last)];
    return { frame, weights: from.map((weight, i) => weight + (to[i] - weight) * (place - frame)) };
  }

  // Mean of the named blendshapes in a row of weights.
  mean(names, row) {
    return names.reduce((sum, name) => sum + row[this.index.get(name)], 0) / names.length;
  }
}
