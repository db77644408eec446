// The face, if this browser can show one, and the words that stand for it.

import { described } from "./words.js";

const WORDS_EVERY_MS = 500;

export class Stage {
  constructor({ face, noWebGL }) {
    this.face = face;
    this.noWebGL = noWebGL;
    this.head = null;
    this.said = 0;
  }

  // three.js is loaded here, and only where it can work: everything else does without it.
  async load(address) {
    try {
      if (!document.createElement("canvas").getContext("webgl2")) throw new Error("no WebGL");
      const { Head } = await import("./head.js");
      this.head = await Head.load(this.face, address);
      this.face.dataset.ready = "";
    } catch {
      this.noWebGL.hidden = false;
    }
  }

  pose(track, weights, time, now) {
    this.head?.pose(track.names, weights);
    if (now - this.said < WORDS_EVERY_MS) return;
    this.said = now;
    const words = described(track, weights, time);
    if (words !== this.face.getAttribute("aria-label")) this.face.setAttribute("aria-label", words);
  }

  // Radians that the camera is turned by.
  get yaw() {
    return this.head?.turned.yaw ?? 0;
  }

  draw(now) {
    this.head?.draw(now);
  }
}
