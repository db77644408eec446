// The main blendshapes over time, a lane each, with a playhead.

import { Lanes } from "./lanes.js";

const LANES = [
  { label: "Jaw", names: ["jawOpen"] },
  { label: "Lips closed", names: ["mouthClose"] },
  { label: "Lips pressed", names: ["mouthPressLeft", "mouthPressRight"] },
  { label: "Smile", names: ["mouthSmileLeft", "mouthSmileRight"] },
  { label: "Brows", names: ["browInnerUp", "browOuterUpLeft", "browOuterUpRight"] },
  { label: "Blink", names: ["eyeBlinkLeft", "eyeBlinkRight"] },
];
const TOP = 0.3; // weight that a lane shows at the least
const LEFT = 96; // CSS pixels of the labels
const RIGHT = 44; // and of the values
const GAP = 5;
const LIVE_S = 8; // seconds that are seen of speech that goes on

export class Curves {
  // seek: called with seconds when somebody points at the curves.
  constructor(canvas, seek) {
    this.canvas = canvas;
    this.seek = seek;
    this.pen = canvas.getContext("2d");
    this.drawing = document.createElement("canvas");
    this.shown = {};
    new ResizeObserver(() => this.redraw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.point(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.point(event));
  }

  redraw() {
    this.drawn = null;
    if (this.shown.duration !== undefined) this.show(this.shown);
    else this.show({ track: null, duration: 0, time: 0, live: false });
  }

  // track: frames, or null; duration: seconds from edge to edge; time: the playhead's; live: the newest is at the right.
  show({ track, duration, time, live }) {
    this.shown = { track, duration, time, live };
    if (!this.canvas.clientWidth) return; // out of sight
    const size = this.size();
    const from = live ? Math.max(0, time - LIVE_S) : 0;
    const span = live ? LIVE_S : duration;
    this.from = from;
    this.span = span;
    if (track && track !== this.history?.track) this.history = new Lanes(track, LANES.map(({ names }) => names), TOP);
    const state = JSON.stringify([track?.changes, span, from, size]);
    if (state !== this.drawn || track !== this.drawnTrack) {
      this.drawn = state;
      this.drawnTrack = track;
      this.draw(track, from, span, size);
    }
    const [width, height] = size;
    const place = this.left + (span ? Math.min((time - from) / span, 1) : 0) * (width - this.left - RIGHT);
    const { pen } = this;
    pen.clearRect(0, 0, width, height);
    // What was played is strong, what is to come is faint.
    pen.globalAlpha = 0.4;
    this.copy(place, width, height);
    pen.globalAlpha = 1;
    this.copy(0, place, height);
    this.values(track, time, size, place);
  }

  copy(from, to, height) {
    const scale = this.scale;
    if (to <= from) return;
    const part = [from, 0, to - from, height];
    this.pen.drawImage(this.drawing, ...part.map((value) => value * scale), ...part);
  }

  size() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.scale = Math.min(devicePixelRatio, 2);
    this.left = LEFT;
    for (const canvas of [this.canvas, this.drawing]) {
      if (canvas.width !== Math.round(width * this.scale) || canvas.height !== Math.round(height * this.scale)) {
        canvas.width = Math.round(width * this.scale);
        canvas.height = Math.round(height * this.scale);
        canvas.getContext("2d").scale(this.scale, this.scale);
        this.drawn = null;
      }
    }
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    this.colours = { ink: colour("--ink"), quiet: colour("--quiet"), line: colour("--line"), curve: colour("--accent") };
    this.font = `12px ${style.fontFamily}`;
    return [width, height];
  }

  lanes(height) {
    const tall = height / LANES.length;
    return LANES.map((lane, i) => ({ ...lane, base: Math.round((i + 1) * tall) - GAP, tall: tall - 2 * GAP }));
  }

  draw(track, from, span, [width, height]) {
    const pen = this.drawing.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.lineJoin = "round";
    const across = width - this.left - RIGHT;
    if (track) this.history.update();
    this.lanes(height).forEach((lane, number) => {
      pen.fillStyle = this.colours.line;
      pen.fillRect(this.left, lane.base, across, 1);
      if (!track?.rows.length || !span) return;
      const top = this.history.tops[number];
      const seen = this.history.points(number, from, from + span, 2 * across);
      const points = Array.from(seen, ([time, value]) => [
        this.left + Math.min(Math.max(0, (time - from) / span), 1) * across,
        lane.base - (Math.max(0, value) / top) * lane.tall,
      ]);
      if (!points.length) return;
      pen.beginPath();
      for (const point of points) pen.lineTo(...point);
      pen.strokeStyle = this.colours.curve;
      pen.lineWidth = 1.5;
      pen.stroke();
      pen.lineTo(points.at(-1)[0], lane.base);
      pen.lineTo(points[0][0], lane.base);
      pen.globalAlpha = 0.22;
      pen.fillStyle = this.colours.curve;
      pen.fill();
      pen.globalAlpha = 1;
    });
  }

  values(track, time, [width, height], place) {
    const { pen, colours } = this;
    const row = track?.rows.length ? track.at(time).weights : null;
    pen.font = this.font;
    pen.textBaseline = "alphabetic";
    for (const lane of this.lanes(height)) {
      const line = lane.base - lane.tall / 2 + 5;
      pen.textAlign = "left";
      pen.fillStyle = colours.quiet;
      pen.fillText(lane.label, 0, line);
      pen.textAlign = "right";
      pen.fillStyle = row ? colours.ink : colours.quiet;
      pen.fillText(row ? Math.max(0, track.mean(lane.names, row)).toFixed(2) : "–", width, line);
    }
    if (!row) return;
    pen.fillStyle = colours.ink;
    pen.fillRect(Math.round(place) - 0.75, 0, 1.5, height);
  }

  // The curves in words.
  described(track) {
    const peaks = LANES.map(({ label, names }) => {
      const most = track.rows.reduce((peak, row) => Math.max(peak, track.mean(names, row)), 0);
      return `${label.toLowerCase()} up to ${most.toFixed(2)}`;
    });
    return `Curves over ${track.end.toFixed(1)} seconds: ${peaks.join(", ")}`;
  }

  point(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    const place = (event.clientX - left - this.left) / (width - this.left - RIGHT);
    this.seek(this.from + Math.min(Math.max(place, 0), 1) * this.span);
  }
}
