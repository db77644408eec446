// The head on the stage. Rule: a picture is drawn only when something in it has changed.

import * as THREE from "three";
import { GLTFLoader } from "./vendor/three/examples/jsm/loaders/GLTFLoader.js";

const FIELD_DEG = 20; // of view, up and down
const TALL = 0.275; // metres of head and neck that are seen
const WIDE = 0.23; // metres that are seen at the least from left to right
const CENTRE = new THREE.Vector3(0, 0.014, 0.01);
const TURN = { yaw: 0.32, pitch: 0.14 }; // radians that the pointer turns the camera by, at the stage's edge
const NECK = [-0.118, -0.084]; // metres of height between which it fades
const EASE_S = 0.18; // time in which two thirds of a turn are done
const STILL = 1e-4; // radians: no more to be seen
const PIXELS = 2; // per CSS pixel at the most

export class Head {
  // stage: the element to fill; address: of the .glb.
  static async load(stage, address) {
    const head = new Head(stage);
    const { scene } = await new GLTFLoader().loadAsync(address);
    head.add(scene);
    if (head.renderer.extensions.has("KHR_parallel_shader_compile")) {
      await head.renderer.compileAsync(head.scene, head.camera); // the page goes on meanwhile
    }
    return head;
  }

  constructor(stage) {
    this.stage = stage;
    this.renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(FIELD_DEG, 1, 0.1, 5);
    this.meshes = [];
    this.turned = { yaw: 0, pitch: 0 };
    this.wanted = { yaw: 0, pitch: 0 };
    this.stale = true;
    this.light();
    this.stage.append(this.renderer.domElement);
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.resize();
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
    key.position.set(-0.55, 0.6, 0.9);
    key.castShadow = true;
    key.shadow.mapSize.set(1024, 1024);
    Object.assign(key.shadow.camera, { left: -0.2, right: 0.2, top: 0.2, bottom: -0.2, near: 0.5, far: 2 });
    key.shadow.radius = 9;
    key.shadow.normalBias = 0.004;
    key.shadow.bias = -0.0004;
    this.scene.add(key);
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
      this.meshes.push(mesh);
    }
    this.scene.add(scene);
    this.stale = true;
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

  // The face takes on `weights`, named by `names`.
  pose(names, weights) {
    for (const { morphTargetDictionary: places, morphTargetInfluences: influences } of this.meshes) {
      names.forEach((name, i) => {
        const place = places?.[name];
        if (place === undefined || influences[place] === weights[i]) return;
        influences[place] = weights[i];
        this.stale = true;
      });
    }
  }

  // Draw, if there is something new to see. now: milliseconds.
  draw(now) {
    this.turn(now);
    if (!this.stale) return;
    this.stale = false;
    this.renderer.render(this.scene, this.camera);
  }

  turn(now) {
    const share = 1 - Math.exp(-(now - (this.drawn ?? now)) / 1000 / EASE_S);
    this.drawn = now;
    for (const angle of ["yaw", "pitch"]) {
      const rest = this.wanted[angle] - this.turned[angle];
      if (Math.abs(rest) < STILL) continue;
      this.turned[angle] += rest * share;
      this.stale = true;
    }
    this.camera.position.setFromSphericalCoords(this.far, Math.PI / 2 - this.turned.pitch, this.turned.yaw).add(CENTRE);
    this.camera.lookAt(CENTRE);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, PIXELS));
    this.renderer.setSize(width, height);
    this.camera.aspect = width / height;
    const half = Math.max(TALL, WIDE / this.camera.aspect) / 2;
    this.far = half / Math.tan((FIELD_DEG * Math.PI) / 360) + 0.06; // the face lies before the middle of the head
    this.camera.updateProjectionMatrix();
    this.stale = true;
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
