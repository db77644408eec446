// The face, if this browser can show one, and the words that stand for it.

import { described } from "./words.js";

const WORDS_EVERY_MS = 500;
const RESTS_FPS = 30; // pictures a second while nothing is said

// Modules with the faces there are: three.js is loaded with them, and only where it can work.
const KINDS = {
  head: async () => (await import("./head.js")).Head,
  own: async () => (await import("./own.js")).OwnHead,
  portrait: async () => (await import("./portrait.js")).Portrait,
};

export class Stage {
  constructor({ face, noWebGL }) {
    this.face = face;
    this.noWebGL = noWebGL;
    this.life = null; // what makes a face live between words
    this.view = null;
    this.said = 0;
    this.posed = [];
    this.rotations = null; // that are shown: the head's and the eyes', in radians
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
  }

  // False where this browser shows no face; it says so.
  get possible() {
    this.noWebGL.hidden = Boolean(document.createElement("canvas").getContext("webgl2"));
    return this.noWebGL.hidden;
  }

  // Show the face in `content`, the bytes of a .glb called `name`, of one of KINDS; returns what there is to say of it. Where
  // it cannot be shown, that of before stays.
  async show(kind, content, name) {
    const Kind = await KINDS[kind]();
    const before = this.face.firstElementChild;
    delete this.face.dataset.ready;
    try {
      const view = await Kind.of(this.face, content, name);
      this.view?.dispose();
      this.view = view;
      return view.words ?? "";
    } catch (error) {
      if (before) this.face.replaceChildren(before);
      throw error;
    } finally {
      this.posed = [];
      if (this.view) this.face.dataset.ready = "";
    }
  }

  pose(track, weights, time, now) {
    this.move(track, weights, time);
    if (now - this.said < WORDS_EVERY_MS) return;
    this.said = now;
    const words = described(track, weights, time);
    if (words !== this.face.getAttribute("aria-label")) this.face.setAttribute("aria-label", words);
  }

  // Nothing is said: `track` is a face at rest.
  rest(track, now) {
    const time = Math.floor((now / 1000) * RESTS_FPS) / RESTS_FPS;
    this.move(track, track.at(time).weights, time);
  }

  move(track, weights, time) {
    if (!this.view) return;
    const seen = [track.changes, time, this.life, this.stillness.matches];
    if (seen.every((value, i) => value === this.posed[i])) return;
    this.posed = seen;
    const still = !this.life || this.stillness.matches;
    const shown = still ? { weights, rotations: track.turned(time) } : this.life.at(track, time);
    this.rotations = shown.rotations;
    this.view.pose(track.names, shown.weights, shown.rotations);
  }

  // Radians that the camera is turned by.
  get yaw() {
    return this.view?.turned?.yaw ?? 0;
  }

  draw(now) {
    this.view?.draw(now);
  }
}
