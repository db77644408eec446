// A registered avatar: a photograph's face, flat, as the camera saw it. Rule: it sways as it does in videos
// (client/emotalk_avatar/video), so that one face is one face.

import * as THREE from "three";
import { Morphs } from "./morphs.js";
import { View, parsed } from "./view.js";

const BACKDROP = "avatar-backdrop"; // the photograph behind the face
const SHIFT = 0.35; // of the face's half width, for each radian that the head turns: a photograph has no other side
const ROLL = 0.4; // share of a roll that is shown
const SWAYS = [1, 1.9]; // of the face's half height: distances from its middle between which the sway fades
const AROUND = 2.2; // heights of the face that are seen
const FAR = 10; // metres of the camera from the face

const SWAY = `
  vec2 swayed = (turned * vec3(transformed.xy, 1.0)).xy;
  vec4 inside = vec4(transformed.x - edges.x, edges.y - transformed.y, edges.z - transformed.x, transformed.y - edges.w);
  float nearest = min(min(inside.x, inside.y), min(inside.z, inside.w));
  float sways = smoothstep(0.0, 0.25 * still.z, nearest);
  sways *= 1.0 - smoothstep(still.z, still.w, distance(transformed.xy, still.xy));
  transformed.xy = mix(transformed.xy, swayed, sways);
`;

export class Portrait extends View {
  // stage: the element to fill; content: bytes of an avatar.glb.
  static async of(stage, content) {
    const { scene } = await parsed(content);
    const portrait = new Portrait(stage);
    portrait.add(scene);
    return portrait.ready();
  }

  constructor(stage) {
    super(stage, new THREE.OrthographicCamera());
    this.camera.position.z = FAR;
    Object.assign(this.camera, { near: 0.1, far: 2 * FAR });
    this.uniforms = {
      turned: { value: new THREE.Matrix3() },
      still: { value: new THREE.Vector4() },
      edges: { value: new THREE.Vector4() },
    };
  }

  add(scene) {
    const meshes = [];
    scene.traverse((mesh) => mesh.isMesh && meshes.push(mesh));
    const face = new THREE.Box3();
    for (const [order, mesh] of meshes.entries()) {
      mesh.frustumCulled = false;
      mesh.renderOrder = order; // layers, from the farthest to the nearest
      if (mesh.material.name !== BACKDROP) face.union(reach(mesh.geometry));
      mesh.material.toneMapped = false;
      mesh.material.onBeforeCompile = (shader) => this.sway(shader);
      this.picture ??= mesh.userData.picture ?? mesh.parent.userData.picture;
    }
    if (!this.picture) throw new Error("the file is not an avatar's: it does not say where its picture lies");
    const size = face.getSize(new THREE.Vector3());
    const middle = face.getCenter(new THREE.Vector3());
    this.half = { x: size.x / 2, y: size.y / 2 };
    this.chin = new THREE.Vector2(middle.x, middle.y - this.half.y);
    this.uniforms.still.value.set(middle.x, middle.y, ...SWAYS.map((share) => share * this.half.y));
    this.uniforms.edges.value.set(...this.picture);
    this.morphs = Morphs.named(meshes);
    this.body.add(scene);
  }

  sway(shader) {
    Object.assign(shader.uniforms, this.uniforms);
    shader.vertexShader = shader.vertexShader
      .replace("void main() {", "uniform mat3 turned;\nuniform vec4 still;\nuniform vec4 edges;\nvoid main() {")
      .replace("#include <project_vertex>", `${SWAY}\n#include <project_vertex>`);
  }

  turn([yaw, pitch, roll]) {
    const [cos, sin] = [Math.cos(ROLL * roll), Math.sin(ROLL * roll)];
    const { x, y } = this.chin;
    const right = x - cos * x + sin * y + SHIFT * this.half.x * yaw;
    const up = y - sin * x - cos * y - SHIFT * this.half.x * pitch;
    const turned = new THREE.Matrix3(cos, -sin, right, sin, cos, up, 0, 0, 1);
    if (turned.equals(this.uniforms.turned.value)) return false;
    this.uniforms.turned.value.copy(turned);
    return true;
  }

  // The photograph is seen as far as the face stays large.
  frame(aspect) {
    if (!this.picture) return;
    const [left, top, right, bottom] = this.picture;
    const tall = Math.min(top - bottom, 2 * AROUND * this.half.y) / 2;
    const wide = tall * aspect;
    const x = within(this.chin.x, left + wide, right - wide);
    const y = within(this.chin.y + this.half.y, bottom + tall, top - tall);
    Object.assign(this.camera, { left: x - wide, right: x + wide, top: y + tall, bottom: y - tall });
  }
}

// The middle of the room where there is none.
const within = (x, low, high) => (low > high ? (low + high) / 2 : Math.min(Math.max(x, low), high));

// The box that single morph targets of a geometry can reach.
function reach({ attributes: { position }, morphAttributes }) {
  const box = new THREE.Box3();
  const [rest, move, low, high] = Array.from({ length: 4 }, () => new THREE.Vector3());
  for (let i = 0; i < position.count; i++) {
    low.set(0, 0, 0);
    high.set(0, 0, 0);
    for (const moves of morphAttributes.position ?? []) {
      move.fromBufferAttribute(moves, i);
      low.min(move);
      high.max(move);
    }
    rest.fromBufferAttribute(position, i);
    box.expandByPoint(low.add(rest));
    box.expandByPoint(high.add(rest));
  }
  return box;
}
