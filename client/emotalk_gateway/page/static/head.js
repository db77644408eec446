// The packaged head, in a small studio.

import * as THREE from "three";
import { Morphs } from "./morphs.js";
import { View, parsed } from "./view.js";

const FIELD_DEG = 20; // of view, up and down
export const TALL = 0.275; // metres of head and neck that are seen
const WIDE = 0.23; // metres that are seen at the least from left to right
const FRONT = 0.06; // metres that the face lies before the middle of the head
const CENTRE = new THREE.Vector3(0, 0.014, 0.01);
const PIVOT = new THREE.Vector3(0, -0.1, -0.02); // where the neck bends
const TURN = { yaw: 0.32, pitch: 0.14 }; // radians that the pointer turns the camera by, at the stage's edge
export const KEY = new THREE.Vector3(-0.55, 0.6, 0.9);
const NECK = [-0.118, -0.084]; // metres of height between which it fades
const EASE_S = 0.18; // time in which two thirds of a turn are done
const STILL = 1e-4; // radians: no more to be seen

export class Head extends View {
  // stage: the element to fill; content: bytes of the .glb.
  static async of(stage, content) {
    const head = new Head(stage);
    head.add((await parsed(content)).scene);
    return head.ready();
  }

  constructor(stage) {
    super(stage, new THREE.PerspectiveCamera(FIELD_DEG, 1, 0.1, 5));
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.turned = { yaw: 0, pitch: 0 };
    this.wanted = { yaw: 0, pitch: 0 };
    this.body.position.copy(PIVOT);
    Object.assign(this, { centre: CENTRE.clone(), tall: TALL, wide: WIDE, front: FRONT });
    this.light();
    this.follow();
  }

  // A small studio: soft boxes all around for the skin and the eyes, a key from the upper left.
  light() {
    const studio = new THREE.Scene();
    const box = (colour, strength, [x, y, z], [width, height]) => {
      const glow = new THREE.Color(colour).multiplyScalar(strength);
      const panel = new THREE.Mesh(
        new THREE.PlaneGeometry(width, height),
        new THREE.MeshBasicMaterial({ color: glow, side: THREE.DoubleSide }),
      );
      panel.position.set(x, y, z);
      panel.lookAt(0, 0, 0);
      studio.add(panel);
    };
    studio.background = new THREE.Color(0x4a4d55).multiplyScalar(0.55);
    box(0xfff8f0, 9, [-2.4, 2.6, 3.4], [2, 2]);
    box(0xe8efff, 4, [4, 0.8, 2.2], [2.2, 3]);
    box(0xffffff, 1.6, [0, 5, 0], [5, 5]);
    box(0xd5e4ff, 14, [3.2, 1.4, -3], [1.6, 3.2]);
    box(0x8a6f62, 0.8, [0, -4, 1.5], [6, 6]);
    const generator = new THREE.PMREMGenerator(this.renderer);
    this.scene.environment = generator.fromScene(studio, 0).texture;
    this.scene.environmentIntensity = 0.95;
    generator.dispose();

    const key = new THREE.DirectionalLight(0xfff6ee, 1.5);
    key.position.copy(KEY);
    key.castShadow = true;
    key.shadow.mapSize.set(1024, 1024);
    Object.assign(key.shadow.camera, { left: -0.2, right: 0.2, top: 0.2, bottom: -0.2, near: 0.5, far: 2 });
    key.shadow.radius = 9;
    key.shadow.normalBias = 0.004;
    key.shadow.bias = -0.0004;
    this.scene.add(key, key.target);
    this.key = key;
  }

  add(scene) {
    const meshes = [];
    scene.traverse((mesh) => mesh.isMesh && meshes.push(mesh));
    for (const mesh of meshes) {
      mesh.frustumCulled = false;
      mesh.material = this.material(mesh.material);
      mesh.castShadow = mesh.material.name === "skin";
      mesh.receiveShadow = ["skin", "teeth", "tongue"].includes(mesh.material.name);
      if (mesh.material.name === "skin") fade(mesh);
      if (mesh.material.name === "iris") scene.add(...sparks(mesh.geometry));
    }
    this.morphs = Morphs.named(meshes);
    scene.position.copy(PIVOT).negate();
    this.body.add(scene);
  }

  // The file's material, with what glTF's plain one cannot say.
  material(plain) {
    if (["sclera", "iris", "pupil"].includes(plain.name)) plain.roughness = 0.06; // wet
    if (["teeth", "tongue"].includes(plain.name)) {
      // Little of the light all around finds its way into a mouth.
      Object.assign(plain, { envMap: this.scene.environment, envMapIntensity: 0.4, roughness: 0.45 });
    }
    if (plain.name !== "skin") return plain;
    const skin = new THREE.MeshPhysicalMaterial({
      name: plain.name,
      color: plain.color,
      vertexColors: true,
      transparent: true, // where the neck fades
      roughness: 0.52,
      specularIntensity: 0.55,
      sheen: 0.25, // the soft edge that light in the skin gives
      sheenRoughness: 0.5,
      sheenColor: new THREE.Color(0xd07a5e),
    });
    plain.dispose();
    return skin;
  }

  draw(now) {
    this.lean(now);
    super.draw(now);
  }

  // The camera's way to where the pointer wants it.
  lean(now) {
    const share = 1 - Math.exp(-(now - (this.drawn ?? now)) / 1000 / EASE_S);
    this.drawn = now;
    for (const angle of ["yaw", "pitch"]) {
      const rest = this.wanted[angle] - this.turned[angle];
      if (Math.abs(rest) < STILL) continue;
      this.turned[angle] += rest * share;
      this.stale = true;
    }
    this.camera.position.setFromSphericalCoords(this.far, Math.PI / 2 - this.turned.pitch, this.turned.yaw).add(this.centre);
    this.camera.lookAt(this.centre);
  }

  frame(aspect) {
    this.camera.aspect = aspect;
    const half = Math.max(this.tall, this.wide / aspect) / 2;
    this.far = half / Math.tan((FIELD_DEG * Math.PI) / 360) + this.front;
  }

  // The camera leans towards the pointer, unless motion is not wanted; then only dragging turns it.
  follow() {
    const to = (event) => {
      if (this.stillness.matches && !event.buttons) return;
      const { left, top, width, height } = this.stage.getBoundingClientRect();
      this.wanted.yaw = (((event.clientX - left) / width) * 2 - 1) * TURN.yaw;
      this.wanted.pitch = (((event.clientY - top) / height) * 2 - 1) * TURN.pitch;
    };
    this.stage.addEventListener("pointermove", to);
    for (const kind of ["pointerleave", "pointercancel"]) {
      this.stage.addEventListener(kind, () => (this.wanted = { yaw: 0, pitch: 0 }));
    }
  }
}

// The neck is cut, so it ends in nothing. What goes down with the jaw, chin and mouth, stays.
function fade(mesh) {
  const { position, color } = mesh.geometry.attributes;
  const jaw = mesh.geometry.morphAttributes.position[mesh.morphTargetDictionary.jawOpen];
  const move = new THREE.Vector3();
  for (let i = 0; i < position.count; i++) {
    const neck = THREE.MathUtils.smoothstep(position.getY(i), ...NECK);
    const moves = THREE.MathUtils.smoothstep(move.fromBufferAttribute(jaw, i).length(), 0.001, 0.004);
    color.setW(i, Math.max(neck, moves));
  }
}

// The key light in the eyes. It stays where it is when they turn, as it does on a cornea, and lids cover it.
function sparks(iris) {
  const { position } = iris.attributes;
  const eyes = [new THREE.Box3(), new THREE.Box3()];
  const point = new THREE.Vector3();
  for (let i = 0; i < position.count; i++) {
    point.fromBufferAttribute(position, i);
    eyes[Number(point.x > 0)].expandByPoint(point);
  }
  return eyes.map((eye) => {
    const radius = (eye.max.y - eye.min.y) / 2;
    const material = new THREE.MeshBasicMaterial({ transparent: true, opacity: 0.85, toneMapped: false });
    const spark = new THREE.Mesh(new THREE.CircleGeometry(0.13 * radius, 20), material);
    eye.getCenter(spark.position).add(new THREE.Vector3(-0.24 * radius, 0.2 * radius, 0));
    spark.position.z = eye.max.z + 0.0006;
    return spark;
  });
}
