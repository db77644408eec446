// A head of one's own, in the studio of the packaged one.

import * as THREE from "three";
import { Head, KEY, TALL } from "./head.js";
import { Morphs } from "./morphs.js";
import { bonesOf, described, documentOf, reading } from "./reading.js";
import { parsed } from "./view.js";

const BACK = new THREE.Quaternion(0, 1, 0, 0); // a VRM 0.x looks the other way
const AROUND = 1.5; // heights of what moves that are seen
const BROAD = 0.85; // of that height, from left to right
const MOVES = 1e-8; // square metres: a vertex that moves less lies still
const TURNS = { head: 0, leftEye: 3, rightEye: 6 }; // columns of rotations

export class OwnHead extends Head {
  // stage: the element to fill; content: bytes of a .glb or .vrm; name: of its file.
  static async of(stage, content, name) {
    const table = await (await fetch(new URL("vocabularies.json", document.baseURI))).json();
    const found = documentOf(content, name);
    const read = reading(found, name, table);
    let loaded;
    try {
      loaded = await parsed(content);
    } catch (error) {
      throw new Error(`${name} cannot be shown: ${error.message}`);
    }
    const head = new OwnHead(stage);
    head.wear(loaded, found, read);
    head.words = described(name, read, table);
    return head.ready();
  }

  wear({ scene, parser }, found, { expressions }) {
    if (found.extensions?.VRM) scene.quaternion.copy(BACK);
    const meshes = new Map(); // glTF's number → three.js' meshes
    const nodes = new Map();
    for (const [object, { meshes: mesh, nodes: node }] of parser.associations) {
      if (object.isMesh && mesh !== undefined) meshes.set(mesh, [...(meshes.get(mesh) ?? []), object]);
      if (object.isObject3D && node !== undefined) nodes.set(node, object);
    }
    this.morphs = new Morphs(
      expressions.map(({ column, binds }) => ({
        sources: Object.entries(column),
        binds: binds.flatMap(({ mesh, target, factor }) =>
          (meshes.get(mesh) ?? [])
            .filter(({ morphTargetInfluences: influences }) => influences && target < influences.length)
            .map(({ morphTargetInfluences: influences }) => ({ influences, place: target, factor })),
        ),
      })),
    );
    this.body.position.set(0, 0, 0);
    this.body.add(scene);
    this.body.updateMatrixWorld(true);
    this.bones = bones(found, nodes, expressions);
    const moving = new Map(); // three.js' mesh → its targets
    for (const { binds } of expressions) {
      for (const { mesh, target } of binds) {
        for (const one of meshes.get(mesh) ?? []) moving.set(one, (moving.get(one) ?? new Set()).add(target));
      }
    }
    this.look(scene, moving);
  }

  // Look at what the expressions move, and a little around it.
  look(scene, moving) {
    scene.traverse((object) => {
      if (!object.isMesh) return;
      object.frustumCulled = false;
      object.castShadow = object.receiveShadow = true;
    });
    const face = new THREE.Box3();
    for (const [mesh, targets] of moving) face.union(moved(mesh, targets));
    const size = face.getSize(new THREE.Vector3());
    face.getCenter(this.centre);
    this.tall = Math.max(size.y, 1e-3) * AROUND;
    this.wide = this.tall * BROAD;
    this.front = size.z / 2;
    Object.assign(this.camera, { near: this.tall / 20, far: this.tall * 40 });
    // The light comes as near as the head is small.
    const scale = this.tall / TALL;
    this.key.position.copy(KEY).multiplyScalar(scale).add(this.centre);
    this.key.target.position.copy(this.centre);
    const { camera } = this.key.shadow;
    for (const side of ["left", "right", "top", "bottom", "near", "far"]) camera[side] *= scale;
    camera.updateProjectionMatrix();
    if (!this.bones.length) {
      const neck = new THREE.Vector3(this.centre.x, face.min.y, this.centre.z - size.z);
      scene.position.sub(neck);
      this.body.position.copy(neck);
    }
  }

  turn(rotations) {
    if (!this.bones.length) return super.turn(rotations);
    if (rotations.every((angle, i) => angle === this.rotations?.[i])) return false;
    this.rotations = rotations;
    for (const { node, rest, axes, column } of this.bones) {
      const [yaw, pitch, roll] = rotations.slice(column, column + 3);
      const turn = new THREE.Quaternion().setFromEuler(new THREE.Euler(pitch, yaw, roll, "YXZ"));
      node.quaternion.copy(axes).multiply(turn).multiply(axes.clone().invert()).multiply(rest);
    }
    return true;
  }
}

// Bones with the face's axes as their parents see them. Eyes turn by theirs where no expression moves them.
function bones(found, nodes, expressions) {
  const looks = expressions.some(({ column }) => Object.keys(column).some((name) => name.startsWith("eyeLook")));
  return Object.entries(bonesOf(found))
    .filter(([bone, number]) => nodes.has(number) && (bone === "head" || !looks))
    .map(([bone, number]) => {
      const node = nodes.get(number);
      const axes = node.parent.getWorldQuaternion(new THREE.Quaternion()).invert();
      return { node, rest: node.quaternion.clone(), axes, column: TURNS[bone] };
    });
}

// The box of the vertices that `targets` of a mesh move.
function moved(mesh, targets) {
  const { attributes, morphAttributes } = mesh.geometry;
  const box = new THREE.Box3();
  const point = new THREE.Vector3();
  for (const target of targets) {
    const move = morphAttributes.position?.[target];
    for (let i = 0; move && i < move.count; i++) {
      if (point.fromBufferAttribute(move, i).lengthSq() > MOVES) box.expandByPoint(point.fromBufferAttribute(attributes.position, i));
    }
  }
  return box.isEmpty() ? box : box.applyMatrix4(mesh.matrixWorld);
}
