// Two seconds of a face that speaks, for a preview: a blink, aa, oo, ee, mm, a smile.

import { Track } from "./track.js";

const FPS = 30;
const SECONDS = 2;
const BLINKS = [0.25, 1.7]; // seconds
const BLINK = 0.12; // seconds from open to shut
const POSES = [
  [0.35, {}],
  [0.6, { jawOpen: 0.6, mouthLowerDownLeft: 0.3, mouthLowerDownRight: 0.3, browInnerUp: 0.2 }],
  [0.95, { jawOpen: 0.22, mouthFunnel: 0.3, mouthPucker: 0.7 }],
  [1.25, { jawOpen: 0.15, mouthStretchLeft: 0.4, mouthStretchRight: 0.4, mouthSmileLeft: 0.2, mouthSmileRight: 0.2 }],
  [1.45, { mouthPressLeft: 0.4, mouthPressRight: 0.4, mouthRollLower: 0.2, mouthRollUpper: 0.2 }],
  [1.7, { mouthSmileLeft: 0.4, mouthSmileRight: 0.4, cheekSquintLeft: 0.2, cheekSquintRight: 0.2 }],
  [SECONDS, {}],
];

// The frames, of the blendshapes `names`.
export function sample(names) {
  const track = new Track(names, FPS);
  for (let frame = 0; frame < SECONDS * FPS; frame++) {
    const time = frame / FPS;
    track.put(time, names.map((name) => (name.startsWith("eyeBlink") ? blink(time) : weight(name, time))));
  }
  track.finish();
  return track;
}

function weight(name, time) {
  const next = POSES.findIndex(([seconds]) => seconds > time);
  if (next < 1) return 0;
  const [[start, from], [end, to]] = [POSES[next - 1], POSES[next]];
  const share = (1 - Math.cos((Math.PI * (time - start)) / (end - start))) / 2;
  return (from[name] ?? 0) * (1 - share) + (to[name] ?? 0) * share;
}

function blink(time) {
  return Math.max(0, ...BLINKS.map((shut) => 1 - Math.abs(time - shut) / BLINK));
}
