// From weights by ARKit's names to a model's morph targets. Rule: what a face is not moved by is not touched, so that a
// picture is drawn only when something in it has changed.

export class Morphs {
  // expressions: [{sources: [[ARKit name, factor]], binds: [{influences, place, factor}]}]
  constructor(expressions) {
    this.expressions = expressions;
    this.targets = new Map(); // influences → place → value, summed up
    this.plan = null;
  }

  // Every target by its own name, of `meshes`.
  static named(meshes) {
    const expressions = [];
    for (const { morphTargetDictionary: places, morphTargetInfluences: influences } of meshes) {
      for (const [name, place] of Object.entries(places ?? {})) {
        expressions.push({ sources: [[name, 1]], binds: [{ influences, place, factor: 1 }] });
      }
    }
    return new Morphs(expressions);
  }

  // Take on `weights`, named by `names`; true if something moved.
  pose(names, weights) {
    if (this.names !== names) this.prepare(names);
    for (const { influences, sums } of this.plan.meshes) if (influences.length) sums.fill(0);
    for (const { sources, binds } of this.plan.expressions) {
      let value = 0;
      for (const [column, factor] of sources) value += factor * weights[column];
      value = Math.min(Math.max(value, 0), 1);
      if (value) for (const { sums, place, factor } of binds) sums[place] += factor * value;
    }
    let moved = false;
    for (const { influences, sums } of this.plan.meshes) {
      for (let place = 0; place < sums.length; place++) {
        if (influences[place] === sums[place]) continue;
        influences[place] = sums[place];
        moved = true;
      }
    }
    return moved;
  }

  prepare(names) {
    this.names = names;
    const column = new Map(names.map((name, i) => [name, i]));
    const meshes = new Map();
    const of = (influences) => {
      if (!meshes.has(influences)) meshes.set(influences, { influences, sums: new Float64Array(influences.length) });
      return meshes.get(influences);
    };
    const expressions = this.expressions.map(({ sources, binds }) => ({
      sources: sources.filter(([name]) => column.has(name)).map(([name, factor]) => [column.get(name), factor]),
      binds: binds.map(({ influences, place, factor }) => ({ ...of(influences), place, factor })),
    }));
    this.plan = { expressions, meshes: [...meshes.values()] };
  }
}
