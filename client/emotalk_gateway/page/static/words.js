// A face in words, for those who do not see it.

const SEEN = 0.15; // weight from which something is worth a word

export function described(track, weights, seconds) {
  const mean = (...names) => track.mean(names, weights);
  const words = [];
  const open = mean("jawOpen") - mean("mouthClose");
  if (open > SEEN) words.push(`the mouth ${Math.round(open * 100)} % open`);
  else words.push("the mouth all but closed");
  if (mean("mouthSmileLeft", "mouthSmileRight") > SEEN) words.push("smiling");
  if (mean("mouthFrownLeft", "mouthFrownRight") > SEEN) words.push("the corners of the mouth down");
  if (mean("browInnerUp", "browOuterUpLeft", "browOuterUpRight") > SEEN) words.push("the brows raised");
  if (mean("browDownLeft", "browDownRight") > SEEN) words.push("the brows lowered");
  if (mean("eyeBlinkLeft", "eyeBlinkRight") > 0.5) words.push("the eyes shut");
  return `A head at ${seconds.toFixed(1)} seconds: ${words.join(", ")}`;
}
