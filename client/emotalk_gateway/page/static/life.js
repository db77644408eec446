// Life that speech does not say: nods, a gaze that wanders, a body that breathes. Rule: the same numbers as
// client/emotalk_client/faces/life.py, which says where they come from; a test compares the two.

const FPS = 30;
const DEGREE = Math.PI / 180;
const HISTORY = 45;
const ENERGY_GAIN = 2.5;
const NOD = 10 * DEGREE;
const NOD_FRAMES = 11;
const NOD_SOFT = 0.1;
const SPEAKING = [7 * DEGREE, 3.5 * DEGREE, 3.5 * DEGREE];
const SPEAKING_FRAMES = [38, 29, 47];
const SPEAKS = 4;
const SWAY = [3 * DEGREE, 1.6 * DEGREE, 1.8 * DEGREE];
const SWAY_FRAMES = [81, 97, 113];
const BREATH = 0.5 * DEGREE;
const BREATH_FRAMES = 120;
const STIRS = [
  [["browInnerUp", "browOuterUpLeft", "browOuterUpRight"], 0.12],
  [["browDownLeft", "browDownRight"], 0.08],
  [["eyeSquintLeft", "eyeSquintRight"], 0.15],
];
const STIR_PERIOD = 150;
const STIR_FRAMES = 40;
const SACCADE_PERIOD = 45;
const SACCADE_SPREAD = 30;
const AWAY = 0.35;
const NEAR_DEG = 1.5;
const AWAY_YAW_DEG = [5, 14];
const AWAY_PITCH_DEG = [-6, 7];
const SACCADE_S = 0.021;
const SACCADE_S_PER_DEG = 0.0022;
const HOLDS_FROM = 0.2;
const LOOK_OUT_IN = 33.6 * DEGREE;
const LOOK_UP = 17.4 * DEGREE;
const LOOK_DOWN = 28.6 * DEGREE;
const STREAMS = { speaking: 0, sway: 3, breath: 6, stir: 7, saccade: 16 };

const clip = (x, low, high) => Math.min(Math.max(x, low), high);

// A number in [0, 1) for `number` of a stream: MurmurHash3's 32-bit finaliser.
function uniform(seed, stream, number) {
  const start = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) >>> 0;
  let h = ((start + Math.imul(stream, 0x85ebca77)) ^ Math.imul(number, 0xc2b2ae3d)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

function noise(seed, stream, frame, period) {
  const place = frame / period;
  const number = Math.floor(place);
  const t = place - number;
  const [before, after] = [number, number + 1].map((n) => 2 * uniform(seed, stream, n) - 1);
  return before + (after - before) * (t * t * t * (t * (6 * t - 15) + 10));
}

function point(seed, number) {
  if (number < 0) return [0, 0];
  const [away, side, yaw, pitch] = [1, 2, 3, 4].map((i) => uniform(seed, STREAMS.saccade + i, number));
  if (away >= AWAY) return [NEAR_DEG * (2 * yaw - 1), NEAR_DEG * (2 * pitch - 1)];
  const [least, most] = AWAY_YAW_DEG;
  const [lowest, highest] = AWAY_PITCH_DEG;
  return [(side < 0.5 ? -1 : 1) * (least + (most - least) * yaw), lowest + (highest - lowest) * pitch];
}

// Yaw and pitch of what is looked at.
function gaze(seed, frame) {
  const number = Math.floor(frame / SACCADE_PERIOD);
  const start = number * SACCADE_PERIOD + SACCADE_SPREAD * uniform(seed, STREAMS.saccade, number);
  const [before, after] = [point(seed, number - 1), point(seed, number)];
  const degrees = Math.hypot(after[0] - before[0], after[1] - before[1]);
  const x = clip((frame - start) / (FPS * (SACCADE_S + SACCADE_S_PER_DEG * degrees)), 0, 1);
  const done = x * x * (3 - 2 * x);
  return before.map((angle, i) => DEGREE * (angle + (after[i] - angle) * done));
}

const NOD_TAPS = Array.from({ length: NOD_FRAMES }, (_, i) => 1 - Math.cos((2 * Math.PI * (i + 1)) / (NOD_FRAMES + 1)));
const NOD_SUM = NOD_TAPS.reduce((sum, tap) => sum + tap, 0);

// Yaw, pitch and roll of who speaks; heard(lag): the energy `lag` frames ago.
function speaking(seed, frame, heard) {
  let mean = 0;
  for (let lag = 0; lag <= HISTORY; lag++) mean += heard(lag) / (HISTORY + 1);
  const now = NOD_TAPS.reduce((sum, tap, lag) => sum + (tap / NOD_SUM) * heard(lag), 0);
  const prominence = Math.max(0, now - mean);
  const speaks = Math.min(1, SPEAKS * mean);
  const out = SPEAKING.map((most, i) => speaks * most * noise(seed, STREAMS.speaking + i, frame, SPEAKING_FRAMES[i]));
  out[1] += (NOD * prominence * prominence) / (prominence + NOD_SOFT);
  return out;
}

function swaying(seed, frame) {
  const out = SWAY.map((most, i) => most * noise(seed, STREAMS.sway + i, frame, SWAY_FRAMES[i]));
  out[1] += BREATH * Math.sin(2 * Math.PI * (frame / BREATH_FRAMES + uniform(seed, STREAMS.breath, 0)));
  return out;
}

function stirring(seed, frame, add) {
  const number = Math.floor(frame / STIR_PERIOD);
  STIRS.forEach(([names, most], group) => {
    const stream = STREAMS.stir + 2 * group;
    const start = number * STIR_PERIOD + uniform(seed, stream, number) * (STIR_PERIOD - STIR_FRAMES);
    const place = clip((frame - start) / STIR_FRAMES, 0, 1);
    const amount = most * uniform(seed, stream + 1, number) * 0.5 * (1 - Math.cos(2 * Math.PI * place));
    for (const name of names) add(name, amount);
  });
}

function looking([yaw, pitch], add) {
  const [left, right] = [Math.max(0, yaw) / LOOK_OUT_IN, Math.max(0, -yaw) / LOOK_OUT_IN];
  add("eyeLookOutLeft", left);
  add("eyeLookInRight", left);
  add("eyeLookInLeft", right);
  add("eyeLookOutRight", right);
  for (const side of ["Left", "Right"]) {
    add(`eyeLookDown${side}`, Math.max(0, pitch) / LOOK_DOWN);
    add(`eyeLookUp${side}`, Math.max(0, -pitch) / LOOK_UP);
  }
}

export class Life {
  // Amounts 0..1, and the seed of all chance.
  constructor({ head, gaze, idle, seed = 0 }) {
    Object.assign(this, { head, gaze, idle, seed });
  }

  // A frame of a track with life in it: {weights, rotations}, the nine of yaw, pitch, roll in radians: head, left eye, right eye.
  frame(track, frame) {
    const weights = track.rowAt(frame).slice();
    const add = (name, amount) => {
      const i = track.index.get(name);
      if (amount) weights[i] = clip(weights[i] + amount, 0, 1);
    };
    const heard = (lag) => (frame < lag ? 0 : energy(track, track.rowAt(frame - lag)));
    const head = this.head ? speaking(this.seed, frame, heard).map((angle) => this.head * angle) : [0, 0, 0];
    if (this.idle) {
      swaying(this.seed, frame).forEach((angle, i) => (head[i] += this.idle * angle));
      stirring(this.seed, frame, (name, amount) => add(name, this.idle * amount));
    }
    const holds = Math.min(1, this.gaze / HOLDS_FROM);
    const eyes = gaze(this.seed, frame).map((angle, i) => this.gaze * angle - holds * head[i]);
    looking(eyes, add);
    return { weights, rotations: [...head, ...eyes, 0, ...eyes, 0] };
  }

  // The same at a moment, on straight lines between frames.
  at(track, time) {
    const place = Math.max(0, time * FPS);
    const number = Math.floor(place);
    const [from, to] = [this.frame(track, number), this.frame(track, number + 1)];
    const between = (key) => from[key].map((value, i) => value + (to[key][i] - value) * (place - number));
    return { weights: between("weights"), rotations: between("rotations") };
  }
}

function energy(track, row) {
  return clip(ENERGY_GAIN * (row[track.index.get("jawOpen")] - row[track.index.get("mouthClose")]), 0, 1);
}
