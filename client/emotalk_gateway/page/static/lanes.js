// The values of some curves over a track. Rule: each frame's values are computed once, when it comes; what a picture
// costs depends on what it shows, and not on how long the track is.

export class Lanes {
  // lanes: lists of the blendshapes whose mean is one curve.
  constructor(track, lanes, least) {
    this.track = track;
    this.lanes = lanes;
    this.least = least;
    this.first = track.first;
    this.values = lanes.map(() => []);
    this.tops = lanes.map(() => least);
  }

  // Take in what has changed.
  update() {
    const { track, lanes } = this;
    const dropped = track.first - this.first;
    this.first = track.first;
    const known = Math.max(0, Math.min(track.news() - track.first, this.values[0].length - dropped, track.rows.length));
    lanes.forEach((names, lane) => {
      const values = this.values[lane];
      if (dropped) values.splice(0, dropped);
      const replaced = values.length > known;
      values.length = known;
      if (replaced) this.tops[lane] = values.reduce((top, value) => Math.max(top, value), this.least);
      for (let row = known; row < track.rows.length; row++) {
        values.push(track.mean(names, track.rows[row]));
        this.tops[lane] = Math.max(this.tops[lane], values[row]);
      }
    });
  }

  // [seconds, value] of a lane from `from` to `to` seconds, in order: every frame, or, where these are more than `most`,
  // the least and the largest of each stretch.
  *points(lane, from, to, most) {
    const { fps, start } = this.track;
    const values = this.values[lane];
    const begin = Math.max(0, Math.floor((from - start) * fps));
    const end = Math.min(values.length, Math.ceil((to - start) * fps) + 1);
    const stretch = end - begin > most ? Math.ceil((2 * (end - begin)) / most) : 1;
    for (let row = begin; row < end; row += stretch) {
      let least = row;
      let largest = row;
      for (let i = row + 1; i < Math.min(row + stretch, end); i++) {
        if (values[i] < values[least]) least = i;
        if (values[i] > values[largest]) largest = i;
      }
      for (const i of new Set([Math.min(least, largest), Math.max(least, largest)])) yield [start + i / fps, values[i]];
    }
  }
}
