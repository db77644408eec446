// A scene in a box of the page, and the face in it. Rule: a picture is drawn only when something in it has changed.

import * as THREE from "three";
import { Images } from "./images.js";
import { Morphs } from "./morphs.js";
import { GLTFLoader } from "./vendor/three/examples/jsm/loaders/GLTFLoader.js";

const PIXELS = 2; // per CSS pixel at the most

// What three.js makes of the bytes of a .glb.
export function parsed(content) {
  return new GLTFLoader().register((parser) => new Images(parser)).parseAsync(content, "");
}

export class View {
  // stage: the element to fill.
  constructor(stage, camera) {
    this.stage = stage;
    this.camera = camera;
    this.renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
    this.scene = new THREE.Scene();
    this.body = new THREE.Group(); // what turns as the head does
    this.scene.add(this.body);
    this.morphs = new Morphs([]);
    this.stale = true;
    this.stage.replaceChildren(this.renderer.domElement);
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(this.stage);
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
  }

  // Make everything ready to be drawn; the page goes on meanwhile.
  async ready() {
    this.resize();
    if (this.renderer.extensions.has("KHR_parallel_shader_compile")) {
      await this.renderer.compileAsync(this.scene, this.camera);
    }
    return this;
  }

  // The face takes on `weights`, named by `names`, and the head `rotations`: yaw, pitch, roll, and the eyes', in radians.
  pose(names, weights, rotations = null) {
    if (this.morphs.pose(names, weights)) this.stale = true;
    if (rotations && this.turn(rotations)) this.stale = true;
  }

  // Turn the head; true if it moved.
  turn([yaw, pitch, roll]) {
    const { rotation } = this.body;
    if (rotation.x === pitch && rotation.y === yaw && rotation.z === roll) return false;
    rotation.set(pitch, yaw, roll, "YXZ");
    return true;
  }

  // Draw, if there is something new to see. now: milliseconds.
  draw(now) {
    void now;
    if (!this.stale) return;
    this.stale = false;
    this.renderer.render(this.scene, this.camera);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, PIXELS));
    this.renderer.setSize(width, height);
    this.frame(width / height);
    this.camera.updateProjectionMatrix();
    this.stale = true;
  }

  dispose() {
    this.watch.disconnect();
    this.scene.traverse(({ geometry, material }) => {
      geometry?.dispose();
      for (const one of [material].flat()) {
        one?.map?.dispose();
        one?.dispose();
      }
    });
    this.renderer.dispose();
    this.renderer.forceContextLoss(); // a browser has few of them
    this.renderer.domElement.remove();
  }
}
