// A registered avatar: a photograph's face over the photograph, flat, as the camera saw it.

import * as THREE from "three";
import { Morphs } from "./morphs.js";
import { View, parsed } from "./view.js";

const SHIFT = 0.35; // of the face's half width, for each radian that the head turns: a photograph has no other side
const ROLL = 0.4; // share of a roll that is shown

export class Portrait extends View {
  // stage: the element to fill; content: bytes of an avatar.glb, in pixels: x to the right, y up, the picture's upper left at 0.
  static async of(stage, content) {
    const portrait = new Portrait(stage);
    portrait.add(await parsed(content));
    return portrait.ready();
  }

  constructor(stage) {
    super(stage, new THREE.OrthographicCamera());
    this.camera.position.z = 5000;
    Object.assign(this.camera, { near: 1, far: 10000 });
  }

  add({ scene, userData: { width, height } }) {
    this.size = { width, height };
    const meshes = [];
    scene.traverse((mesh) => mesh.isMesh && meshes.push(mesh));
    const face = new THREE.Box3();
    for (const mesh of meshes) {
      mesh.frustumCulled = false;
      if (mesh.material.name === "photo") continue;
      mesh.geometry.computeBoundingBox();
      face.union(mesh.geometry.boundingBox);
    }
    this.half = (face.max.x - face.min.x) / 2;
    const neck = new THREE.Vector3((face.max.x + face.min.x) / 2, face.min.y, 0);
    this.neck = neck;
    // The photograph stays; the face before it moves.
    const parts = meshes.filter(({ material }) => material.name !== "photo");
    this.morphs = Morphs.named(meshes);
    this.scene.add(scene);
    for (const part of parts) this.body.attach(part);
    for (const part of this.body.children) part.position.sub(neck);
    this.body.position.copy(neck);
  }

  turn([yaw, pitch, roll]) {
    const x = this.neck.x + SHIFT * this.half * yaw;
    const y = this.neck.y - SHIFT * this.half * pitch;
    const { position, rotation } = this.body;
    if (position.x === x && position.y === y && rotation.z === ROLL * roll) return false;
    position.set(x, y, 0);
    rotation.z = ROLL * roll;
    return true;
  }

  // The whole photograph is seen.
  frame(aspect) {
    if (!this.size) return;
    const { width, height } = this.size;
    const [wide, tall] = [Math.max(width, height * aspect), Math.max(height, width / aspect)];
    const { x, y } = { x: width / 2, y: -height / 2 };
    Object.assign(this.camera, { left: x - wide / 2, right: x + wide / 2, top: y + tall / 2, bottom: y - tall / 2 });
  }
}
