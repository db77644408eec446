// Frames over time. Rule: what is shown between two frames lies on the straight line between them; before the first and
// after the last, the face stands still.

const STILL = Array(9).fill(0);

let changes = 0; // of all tracks

export class Track {
  // names: blendshape of each weight; fps: frames a second; origin: seconds of frame 0.
  constructor(names, fps, origin = 0) {
    this.names = names;
    this.fps = fps;
    this.origin = origin;
    this.first = 0; // the frame of the first row: those before it were dropped
    this.rows = [];
    this.changes = ++changes; // another number after every change
    this.changed = 0; // the first frame that has changed since `news` was called
    this.complete = false;
    this.rotations = null; // of each row, where a file had some
    this.index = new Map(names.map((name, i) => [name, i]));
  }

  // Seconds of the first frame that is there.
  get start() {
    return this.origin + this.first / this.fps;
  }

  // Seconds up to which there are frames.
  get end() {
    return this.start + this.rows.length / this.fps;
  }

  // A frame at its own time; one that was there before is replaced.
  put(timecode, weights) {
    const row = Math.round((timecode - this.start) * this.fps);
    if (row < 0 || row > this.rows.length) throw new RangeError(`a frame at ${timecode} s, after ${this.end} s`);
    this.rows[row] = weights;
    this.changes = ++changes;
    this.changed = Math.min(this.changed, this.first + row);
  }

  // The first frame that has changed since the last call; Infinity if none has.
  news() {
    const { changed } = this;
    this.changed = Infinity;
    return changed;
  }

  // Drop the first `count` frames; the others keep their times.
  drop(count) {
    this.rows.splice(0, count);
    this.first += count;
    this.changes = ++changes;
  }

  // No frame comes after the first `count` that are there.
  finish(count = this.rows.length) {
    this.rows.length = Math.min(count, this.rows.length);
    this.changes = ++changes;
    this.complete = true;
  }

  // The same frames from 0 seconds on, complete.
  fromZero() {
    const track = new Track(this.names, this.fps);
    track.rows = this.rows;
    track.finish();
    return track;
  }

  // Weights at `time` seconds, and the frame that they begin at.
  at(time) {
    const last = this.rows.length - 1;
    if (last < 0) return { frame: 0, weights: this.names.map(() => 0) };
    const place = Math.min(Math.max((time - this.start) * this.fps, 0), last);
    const row = Math.floor(place);
    const from = this.rows[row];
    const to = this.rows[Math.min(row + 1, last)];
    const weights = from.map((weight, i) => weight + (to[i] - weight) * (place - row));
    return { frame: this.first + row, weights };
  }

  // The frame `number`, counted from 0 at 0 seconds; a resting face before the first, the last after it.
  rowAt(number) {
    if (!this.rows.length) return this.names.map(() => 0);
    const row = Math.round(number - this.start * this.fps);
    return row < 0 ? this.names.map(() => 0) : this.rows[Math.min(row, this.rows.length - 1)];
  }

  // The head's and the eyes' rotations at `time` seconds, nine angles in radians: those that came with the frames, or none.
  turned(time) {
    if (!this.rotations) return STILL;
    const place = Math.min(Math.max((time - this.start) * this.fps, 0), this.rotations.length - 1);
    const row = Math.floor(place);
    const to = this.rotations[Math.min(row + 1, this.rotations.length - 1)];
    return this.rotations[row].map((angle, i) => angle + (to[i] - angle) * (place - row));
  }

  // Mean of the named blendshapes in a row of weights.
  mean(names, row) {
    return names.reduce((sum, name) => sum + row[this.index.get(name)], 0) / names.length;
  }
}
