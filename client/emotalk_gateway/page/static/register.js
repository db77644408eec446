// The page on which a photograph becomes an avatar. Rule: what was not confirmed is deleted, also where the page is left.

import { Avatars } from "./avatars.js";
import { Camera } from "./camera.js";
import { Gateway } from "./gateway.js";
import { poor } from "./hints.js";
import { TEXTS, chosen } from "./register.texts.js";
import { sample } from "./sample.js";
import { Stage } from "./stage.js";

const at = (id) => document.getElementById(id);
const page = JSON.parse(document.querySelector("meta[name=emotalk]").content);
const root = document.documentElement;
const language = chosen(location.search, navigator.languages);
const texts = TEXTS[language];

const gateway = new Gateway();
const avatars = new Avatars(gateway);
const camera = new Camera(at("camera"));

let facts = null; // of the gateway
let picture = null; // the chosen one, a Blob
let made = null; // {id, quality, warnings}: registered, and not confirmed yet
let stage = null; // what shows it
let began = null; // milliseconds: when the preview began to move
let held = null; // seconds at which it stands still
let track = null; // the preview's movement
let shown = null; // what the newest picture shows, for tests

// --- words ---

function translate() {
  root.lang = language;
  root.dir = texts.direction;
  document.title = `${texts.title} – EmoTalk`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", texts[element.dataset.label]);
  }
  const other = at("language");
  other.textContent = texts.other.name;
  other.lang = other.hreflang = texts.other.code;
  other.href = `?lang=${texts.other.code}`;
}

function say(text) {
  at("status").textContent = text;
}

function complain(text, detail = "") {
  say("");
  const words = document.createElement("p");
  words.textContent = text;
  at("problem").replaceChildren(words);
  if (!detail) return;
  const original = document.createElement("small");
  Object.assign(original, { textContent: detail, lang: "en", dir: "ltr" });
  at("problem").append(original);
}

// An error in the page's language, and as the server said it where that is another.
function refuse(error) {
  if (error.name === "AbortError") return;
  if (error instanceof TypeError) complain(texts.unreachable); // what fetch throws
  else if (texts.errors[error.name]) complain(texts.errors[error.name], error.message);
  else complain(error.message);
  if (texts.hints) hint(poor(error.quality ?? {}, page.good).map((name) => texts.hints[name]));
  if (error.status === 401) askForToken();
}

// What may be better, in the page's language: from the measures where that is not the server's.
function warn({ warnings, quality }) {
  hint(texts.hints ? poor(quality, page.good).map((name) => texts.hints[name]) : warnings);
}

function hint(warnings) {
  at("warnings").replaceChildren();
  if (!warnings.length) return;
  const head = document.createElement("p");
  head.textContent = texts.wordsOf;
  const list = document.createElement("ul");
  for (const warning of warnings) {
    const item = document.createElement("li");
    item.textContent = warning;
    list.append(item);
  }
  at("warnings").append(head, list);
}

// --- states: empty, camera, chosen, sending, shown, kept ---

function state(name) {
  root.dataset.state = name;
  const choosing = ["empty", "camera", "chosen"].includes(name);
  at("invitation").hidden = name !== "empty";
  at("chosen").hidden = !["chosen", "sending"].includes(name);
  at("camera").hidden = name !== "camera";
  at("source").hidden = !choosing && name !== "sending";
  at("form").hidden = at("advice").hidden = !choosing && name !== "sending";
  at("decide").hidden = name !== "shown";
  at("done").hidden = name !== "kept";
  for (const id of ["file", "shoot", "register", "name", "glasses", "consent"]) at(id).disabled = name === "sending" || !facts;
  at("shoot").textContent = name === "camera" ? texts.takePicture : texts.openCamera;
  if (!["shown", "kept"].includes(name)) {
    at("face").hidden = at("still").hidden = true;
    at("no-webgl").hidden = true;
    hint([]);
  }
  if (name === "shown") at("decide").querySelector("h2").focus();
  if (name === "kept") at("done").querySelector("h2").focus();
}

function clear() {
  say("");
  at("problem").replaceChildren();
}

// --- a picture ---

async function show(blob, canvas) {
  const bitmap = blob.type.startsWith("video/") ? await firstPicture(blob) : await createImageBitmap(blob);
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

// The first picture of a clip.
async function firstPicture(blob) {
  const video = document.createElement("video");
  const url = URL.createObjectURL(blob);
  try {
    await new Promise((done, failed) => {
      Object.assign(video, { muted: true, preload: "auto", onloadeddata: done, onerror: failed, src: url });
    });
    return await createImageBitmap(video);
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function take(file) {
  if (!["empty", "camera", "chosen"].includes(root.dataset.state)) return;
  clear();
  camera.close();
  try {
    if (file.size > facts.max_upload_bytes) throw new Error(texts.tooLarge);
    await show(file, at("chosen")).catch(() => {
      throw new Error(texts.notAPicture);
    });
    picture = file;
    state("chosen");
  } catch (error) {
    complain(error.message);
    picture = null;
    state("empty");
  }
}

async function shoot() {
  clear();
  if (camera.on) {
    await take(await camera.take());
    return;
  }
  try {
    await camera.open();
    state("camera");
  } catch {
    camera.close();
    complain(texts.noCamera);
  }
}

// --- registered, shown, kept or discarded ---

async function register() {
  clear();
  const name = at("name").value.trim();
  if (!picture) return complain(texts.noPicture);
  if (!name) return miss("name", texts.noName);
  if (!at("consent").checked) return miss("consent", texts.noConsent);
  state("sending");
  say(texts.sending);
  try {
    made = await avatars.register(picture, name, at("glasses").checked);
    await preview();
    say(track ? texts.moving : texts.resting);
    state("shown");
  } catch (error) {
    if (made) await discarded();
    state("chosen");
    refuse(error);
  }
}

function miss(id, text) {
  complain(text);
  at(id).focus();
}

async function preview() {
  await show(await avatars.preview(made.id), at("still"));
  at("still").hidden = false;
  warn(made);
  const moves = await drawn(await avatars.face(made.id));
  at("still").hidden = moves;
  at("face").hidden = at("again").hidden = !moves;
  track = moves ? sample(facts.names) : null;
  began = null;
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
}

// The face that moves is on the stage; false where this browser cannot draw it.
async function drawn(content) {
  at("face").hidden = false; // so that it has a size
  stage ??= new Stage({ face: at("face"), noWebGL: at("no-webgl") });
  if (!stage.possible) return false;
  try {
    await stage.show("portrait", content, at("name").value);
  } catch {
    return false;
  }
  return "ready" in at("face").dataset;
}

function play() {
  held = null;
  began = performance.now();
}

function draw(now) {
  requestAnimationFrame(draw);
  if (!track || !made) return;
  const moved = began === null ? 0 : (now - began) / 1000;
  const time = Math.min(Math.max(held ?? moved, 0), track.end);
  const { weights } = track.at(time);
  stage.move(track, weights, time);
  stage.draw(now);
  shown = { time, weights, jawOpen: track.mean(["jawOpen"], weights) };
}

function keep() {
  clear();
  const there = new URL(".", document.baseURI);
  there.searchParams.set("avatar", made.id);
  at("live").href = there.href;
  made = null;
  hint([]);
  state("kept");
}

async function discard() {
  clear();
  try {
    await discarded();
    say(texts.deleted);
    state("chosen");
  } catch (error) {
    refuse(error);
  }
}

async function discarded() {
  const { id } = made;
  await avatars.remove(id);
  made = null;
}

function another() {
  clear();
  picture = null;
  at("name").value = "";
  at("consent").checked = at("glasses").checked = false;
  state("empty");
}

// --- start ---

function askForToken() {
  at("access").hidden = false;
  at("token").focus();
}

function listenToPeople() {
  at("file").addEventListener("change", () => {
    const [file] = at("file").files;
    if (file) take(file);
    at("file").value = ""; // the same file may be chosen again
  });
  at("shoot").addEventListener("click", shoot);
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    register();
  });
  at("access").addEventListener("submit", (event) => {
    event.preventDefault();
    gateway.remember(at("token").value);
    at("access").hidden = true;
    at("problem").replaceChildren();
  });
  at("again").addEventListener("click", play);
  at("keep").addEventListener("click", keep);
  at("discard").addEventListener("click", discard);
  at("another").addEventListener("click", another);
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
  addEventListener("pagehide", () => {
    if (made) avatars.remove(made.id, true).catch(() => {});
    camera.close();
  });
}

// For tests and for the curious: what the newest picture shows; hold: it stands still at `time` seconds.
window.emotalk = Object.freeze({
  shown: () => ({ ...shown, state: root.dataset.state, id: made?.id ?? null }),
  hold: (time) => (held = time),
});

async function begin() {
  translate();
  state("empty");
  requestAnimationFrame(draw);
  try {
    facts = await gateway.facts();
    state("empty");
    if (!facts.avatars) throw new Error(texts.off);
    listenToPeople();
    if (facts.token && !gateway.token) askForToken();
    root.dataset.begun = "";
  } catch (error) {
    refuse(error);
    for (const id of ["file", "shoot", "register"]) at(id).disabled = true;
  }
}

begin();
