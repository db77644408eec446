// A head of one's own as its file tells of it: which expressions move it, and in which vocabulary. Rule: the same choice as
// client/emotalk_client/faces/head/own.py, which says why; a test compares the two.

export const MAX_HEAD_BYTES = 128 * 2 ** 20;
const MOST_TARGETS = 4096;
const MOST_LISTED = 8;

// Blendshapes as people spell them: without case, prefix and separators.
export function key(name) {
  const last = name.trim().split(".").at(-1);
  return last
    .replace(/[_\- ]([lrLR])$/, (_, side) => (side.toLowerCase() === "l" ? "left" : "right"))
    .replace(/[_\- ]/g, "")
    .toLowerCase();
}

const listed = (names) => {
  const more = names.length > MOST_LISTED ? ` and ${names.length - MOST_LISTED} more` : "";
  return names.slice(0, MOST_LISTED).join(", ") + more;
};

// The JSON of a .glb, an ArrayBuffer; an Error in words where it is not one.
export function documentOf(content, name) {
  const bytes = new DataView(content);
  if (content.byteLength > MAX_HEAD_BYTES) {
    throw new Error(`${name} has ${Math.round(content.byteLength / 2 ** 20)} MiB; accepted: at most 128 MiB`);
  }
  if (content.byteLength && [0x7b, 0xef].includes(bytes.getUint8(0))) {
    throw new Error(`${name} is glTF as text; accepted: binary glTF, a .glb or .vrm`);
  }
  if (content.byteLength < 20 || bytes.getUint32(0, true) !== 0x46546c67) {
    throw new Error(`${name} is not binary glTF; accepted: a .glb or .vrm`);
  }
  const size = bytes.getUint32(12, true);
  if (20 + size > content.byteLength) throw new Error(`${name} is cut: it ends before its parts do`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(content, 20, size)));
  } catch {
    throw new Error(`${name} is not glTF as its specification has it`);
  }
}

// {vocabulary, expressions: [{name, column: {ARKit name: factor}, binds: [{mesh, target, factor}]}], missing, whole} of a
// document; `table` is vocabularies.json. An Error in words where it moves no mouth.
export function reading(document, name, table) {
  try {
    checkWhole(document, name, table.packed);
    return chosen(name, found(document), table);
  } catch (error) {
    if (error instanceof Broken) throw new Error(`${name} is not binary glTF that can be read: ${error.message}`);
    if (!(error instanceof TypeError)) throw error;
    throw new Error(`${name} is not glTF as its specification has it`);
  }
}

// A document that points at what is not there, or is larger than is read.
class Broken extends Error {}

function checkWhole(document, name, packed) {
  for (const extension of document.extensionsRequired ?? []) {
    if (packed[extension]) {
      throw new Error(`${name} is packed with ${packed[extension]} (${extension}), which is not read; accepted: files that are not`);
    }
  }
  for (const kind of ["buffers", "images"]) {
    for (const { uri } of document[kind] ?? []) {
      if (typeof uri !== "string") continue;
      throw new Error(`${name} keeps ${kind} outside of itself ('${uri.slice(0, 60)}'); accepted: files that are whole`);
    }
  }
}

function found(document) {
  const names = new Map();
  const binds = new Map();
  const gather = (pairs, into) => {
    for (const [name, bind] of pairs) {
      const [spelled, moved] = into;
      if (!spelled.has(key(name))) spelled.set(key(name), name);
      moved.set(key(name), [...(moved.get(key(name)) ?? []), bind]);
    }
    return into;
  };
  gather(targets(document), [names, binds]);
  // A clip of a VRM is what its maker means by the name.
  const [clips, moved] = gather([...vrm0(document), ...vrm1(document)], [new Map(), new Map()]);
  for (const [one, name] of clips) {
    names.set(one, name);
    binds.set(one, moved.get(one));
  }
  return { names, binds };
}

function* targets(document) {
  for (const [mesh, { primitives, extras }] of (document.meshes ?? []).entries()) {
    const count = (primitives[0].targets ?? []).length;
    if (count > MOST_TARGETS) throw new Broken(`mesh ${mesh} has ${count} morph targets; accepted: at most ${MOST_TARGETS}`);
    const names = extras?.targetNames ?? primitives[0].extras?.targetNames ?? [];
    for (const [target, name] of names.slice(0, count).entries()) {
      if (typeof name === "string") yield [name, { mesh, target, factor: 1 }];
    }
  }
}

function bound(document, mesh, target, factor) {
  if (document.meshes[mesh].primitives[0].targets?.[target] === undefined) {
    throw new Broken(`an expression moves target ${target} of mesh ${mesh}, which is not there`);
  }
  return { mesh, target, factor };
}

function* vrm0(document) {
  for (const group of document.extensions?.VRM?.blendShapeMaster?.blendShapeGroups ?? []) {
    const preset = group.presetName ?? "unknown";
    const name = ["unknown", ""].includes(preset) ? (group.name ?? "") : preset;
    for (const { mesh, index, weight } of group.binds ?? []) yield [name, bound(document, mesh, index, weight / 100)];
  }
}

function* vrm1(document) {
  const expressions = document.extensions?.VRMC_vrm?.expressions ?? {};
  for (const kind of ["preset", "custom"]) {
    for (const [name, { morphTargetBinds }] of Object.entries(expressions[kind] ?? {})) {
      for (const { node, index, weight } of morphTargetBinds ?? []) {
        yield [name, bound(document, document.nodes[node].mesh, index, weight)];
      }
    }
  }
}

function chosen(file, { names, binds }, table) {
  const mouth = (name) => (name === "arkit" ? table.mouth : Object.keys(table.factors[name].mouth));
  const shares = table.mouths.map((name) => {
    const words = mouth(name);
    return words.filter((one) => names.has(key(one))).length / words.length;
  });
  const best = shares.findIndex((share) => share >= 0.5);
  const vocabulary = table.mouths[best >= 0 ? best : shares.indexOf(Math.max(...shares))];
  if (!Math.max(...shares)) {
    const all = [...names.values()];
    const has = all.length ? `its ${all.length} expressions (${listed(all)})` : "its morph targets have no names:";
    throw new Error(
      `${file} has no mouth that can be moved: ${has} are not in any vocabulary that is known; accepted: ARKit's ` +
        "blendshapes, the Oculus visemes, expressions of VRM or Ready Player Me",
    );
  }
  const taken = new Map();
  const take = (name, column) => {
    const one = key(name);
    if (names.has(one) && !taken.has(one)) taken.set(one, { name: names.get(one), column, binds: binds.get(one) });
  };
  const takeGroup = (name, group) => {
    const before = taken.size;
    const factors = table.factors[name]?.[group] ?? {};
    for (const [one, column] of Object.entries(factors)) take(one, column);
    if (group === "lids" && taken.size === before) {
      for (const [one, parts] of Object.entries(table.shared[name] ?? {})) take(one, mean(parts.map((part) => factors[part])));
    }
    return taken.size > before;
  };
  for (const one of table.arkit) {
    if (vocabulary === "arkit" || !table.mouth.includes(one)) take(one, { [one]: 1 });
  }
  if (vocabulary !== "arkit") takeGroup(vocabulary, "mouth");
  for (const [group, beginnings] of Object.entries(table.groups)) {
    if (vocabulary === "arkit" && !["lids", "looking"].includes(group)) continue;
    const arkit = table.arkit.filter((one) => beginnings.some((beginning) => one.startsWith(beginning)));
    if (!arkit.some((one) => taken.has(key(one)))) [vocabulary, ...table.mouths.slice(1)].some((name) => takeGroup(name, group));
  }
  const shared = Object.entries(table.shared[vocabulary] ?? {}).filter(([one]) => taken.has(key(one)));
  const parts = shared.flatMap(([, both]) => both);
  const whole = vocabulary === "arkit" ? table.arkit : Object.values(table.factors[vocabulary]).flatMap(Object.keys);
  const missing = whole.filter((one) => !taken.has(key(one)) && !parts.includes(one));
  return { vocabulary, expressions: [...taken.values()], missing, whole: whole.length };
}

function mean(columns) {
  const out = {};
  for (const column of columns) {
    for (const [name, factor] of Object.entries(column)) out[name] = (out[name] ?? 0) + factor / columns.length;
  }
  return out;
}

// What was found, and what is missing, for people.
export function described(name, { vocabulary, missing, whole }, table) {
  const said = `${name} speaks ${table.spoken[vocabulary]}: ${whole - missing.length} of ${whole}`;
  return missing.length ? `${said}; missing: ${listed(missing)}` : said;
}

// Nodes of the bones that turn: as a VRM says, else by their names.
export function bonesOf(document) {
  const bones = {};
  const joints = new Set((document.skins ?? []).flatMap(({ joints: all }) => all));
  for (const bone of ["head", "leftEye", "rightEye"]) {
    const zero = document.extensions?.VRM?.humanoid?.humanBones?.find((found) => found.bone === bone);
    const told = zero ?? document.extensions?.VRMC_vrm?.humanoid?.humanBones?.[bone];
    const named = (document.nodes ?? []).findIndex(
      ({ name = "" }, i) => joints.has(i) && key(String(name).split(":").at(-1)) === bone.toLowerCase(),
    );
    if (told || named >= 0) bones[bone] = told?.node ?? named;
  }
  return bones;
}
