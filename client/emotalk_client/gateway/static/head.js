// The head on the stage. Rule: a picture is drawn only when something in it has changed.

import * as THREE from "three";
import { GLTFLoader } from "./vendor/three/examples/jsm/loaders/GLTFLoader.js";

const FIELD_DEG = 20; // of view, up and down
const TALL = 0.275; // metres of head and neck that are seen
const WIDE = 0.23; // metres that are seen at the least from left to right
const CENTRE = new THREE.Vector3(0, 0.02, 0.01);
const TURN = { yaw: 0.42, pitch: 0.16 }; // radians that the pointer turns the camera by, at the stage's edge
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

  // A small studio: soft boxes all around for the skin and the eyes, a key from the upper left, a rim from behind.
  light() {
    const studio = new THREE.Scene();
    const box = (colour, strength, [x, y, z], [width, height]) => {
      const colour_ = new THREE.Color(colour).multiplyScalar(strength);
      const panel = new THREE.Mesh(
        new THREE.PlaneGeometry(width, height),
        new THREE.MeshBasicMaterial({ color: colour_, side: THREE.DoubleSide }),
      );
      panel.position.set(x, y, z);
      panel.lookAt(0, 0, 0);
      studio.add(panel);
    };
    studio.background = new THREE.Color(0x4a4d55).multiplyScalar(0.55);
    box(0xfff8f0, 9, [-2.4, 2.6, 3.4], [2, 2]);
    box(0xe8efff, 4, [4, 0.8, 2.2], [2.2, 3]);
    box(0xffffff, 1.6, [0, 5, 0], [5, 5]);
    box(0xffffff, 70, [-1.1, 0.9, 4.6], [0.4, 0.4]); // seen as a spark in the eyes
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
    key.shadow.normalBias = 0.002;
    key.shadow.bias = -0.0004;
    const rim = new THREE.DirectionalLight(0xd5e4ff, 1.6);
    rim.position.set(0.7, 0.35, -0.8);
    this.scene.add(key, rim);
  }

  add(scene) {
    scene.traverse((mesh) => {
      if (!mesh.isMesh) return;
      mesh.frustumCulled = false;
      mesh.material = material(mesh.material);
      mesh.castShadow = mesh.receiveShadow = mesh.material.name === "skin";
      this.meshes.push(mesh);
    });
    this.scene.add(scene);
    this.stale = true;
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

// The file's material, with what glTF's plain one cannot say.
function material(plain) {
  if (["sclera", "iris", "pupil"].includes(plain.name)) plain.roughness = 0.06; // wet
  if (plain.name !== "skin") return plain;
  const skin = new THREE.MeshPhysicalMaterial({
    name: plain.name,
    color: plain.color,
    vertexColors: plain.vertexColors,
    roughness: 0.52,
    specularIntensity: 0.55,
    sheen: 0.25, // the soft edge that light in the skin gives
    sheenRoughness: 0.5,
    sheenColor: new THREE.Color(0xd07a5e),
  });
  plain.dispose();
  return skin;
}
