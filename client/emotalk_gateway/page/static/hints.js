// What may be better in a picture, by the name of its measure.

// measures: as a registration says them; good: {name: {least}} or {name: {most}}, and the measures that tell darkness.
export function poor(measures, good) {
  const size = { ...measures };
  for (const name of ["yaw_deg", "pitch_deg", "roll_deg"]) size[name] = Math.abs(measures[name]);
  size.light_ratio = Math.max(measures.light_ratio, 1 / measures.light_ratio);
  size.dark = Math.max(measures.contrast / good.contrast, measures.eye_light / good.eye_light);
  return Object.entries(good.bounds)
    .filter(([name, { least = -Infinity, most = Infinity }]) => size[name] < least || size[name] > most)
    .map(([name]) => name);
}
