// The page as a whole: asks for faces, plays them, shows them.

import { Curves } from "./curves.js";
import { Faces } from "./faces.js";
import { Gateway } from "./gateway.js";
import { Kept } from "./kept.js";
import { listen } from "./keys.js";
import { Life } from "./life.js";
import { Live } from "./live.js";
import { OptionControls, show } from "./options.js";
import { PlayBar } from "./playbar.js";
import { Player } from "./player.js";
import { sentence } from "./refusal.js";
import { Stage } from "./stage.js";
import { Track } from "./track.js";
import { Caption, Voice } from "./voice.js";

const at = (id) => document.getElementById(id);
const page = JSON.parse(document.querySelector("meta[name=emotalk]").content);
const root = document.documentElement;
const HEADS = /\.(glb|vrm|gltf)$/i;

const gateway = new Gateway();
const player = new Player();
const playBar = new PlayBar(player, { play: at("play"), time: at("time"), clock: at("clock") });
const curves = new Curves(document.querySelector("#curves canvas"), (seconds) => player.seek(seconds));
const stage = new Stage({ face: at("face"), noWebGL: at("no-webgl") });
const faces = new Faces(stage, gateway, { select: at("who"), notes: at("who-notes"), forget: at("forget") }, new Kept());
const caption = new Caption(at("caption"));
const options = new OptionControls(at("expression"), at("emotions"), () => again());

let facts = null; // of the gateway
let track = null; // what is shown
let resting = null; // what is shown where that is nothing
let clip = null; // {file, title}, and of a text {text, sentences}: what it is the face of
let live = null; // speech that goes on
let asking = null; // stops the request in progress
let answers = 0; // requests that were answered to their end
let drawn = null; // what the last picture showed

// --- words for people ---

function say(text) {
  at("status").textContent = text;
}

function complain(error) {
  say("");
  const text = document.createElement("p");
  text.textContent = sentence(error);
  at("problem").replaceChildren(text);
  if (error.status === 401) askForToken();
}

function state(name) {
  root.dataset.state = name;
  at("invitation").hidden = name !== "empty" || Boolean(page.result);
  at("live-sign").hidden = name !== "live";
  at("speak").setAttribute("aria-pressed", String(name === "live"));
  at("speak").querySelector(".word").textContent = name === "live" ? "Stop" : "Speak";
  const ready = name === "ready";
  for (const id of ["format", "save"]) at(id).disabled = !ready;
  for (const id of ["file", "words"]) at(id).disabled = name === "live";
  if (facts) options.disabled = name === "live";
}

// --- from a file to a face ---

async function open(file) {
  if (live) return;
  at("problem").replaceChildren();
  if (file.size > facts.max_upload_bytes) {
    const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    complain(new Error(`the file has ${mib(file.size)}; accepted: at most ${mib(facts.max_upload_bytes)}`));
    return;
  }
  await ask({ file, title: file.name }, new Track(facts.names, facts.fps));
}

// What is written, said.
async function tell(text) {
  if (live) return;
  at("problem").replaceChildren();
  await ask({ text, title: text.length > 40 ? `${text.slice(0, 40)}…` : text }, new Track(facts.names, facts.fps));
}

// The same clip with other options; what is there is shown until the new frames replace it.
async function again() {
  if (!clip || live || page.result) return;
  const next = new Track(track.names, track.fps);
  next.rows = track.rows.slice();
  await ask(clip, next);
}

async function ask(wanted, next) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const fresh = wanted !== clip;
  const voice = wanted.text && new Voice();
  const before = root.dataset.state;
  say(`Reading ${wanted.title}…`);
  state("busy");
  let came = 0;
  try {
    for await (const frames of voice ? spoken(voice, wanted.text, signal) : heard(wanted.file, signal)) {
      for (const { timecode, blendshapes } of frames) next.put(timecode, blendshapes);
      if (!came && !voice) take(next, wanted, fresh);
      came += frames.length;
    }
    next.finish(came);
    if (voice) take(next, fresh ? { ...wanted, file: voice.file, sentences: voice.sentences } : wanted, fresh);
    if (voice && fresh) player.play();
    answers += 1;
    ready();
  } catch (error) {
    if (signal.aborted) return;
    if (came && !voice) next.finish();
    complain(error);
    state(track ? "ready" : before === "busy" ? "empty" : before);
  }
}

const heard = (file, signal) => gateway.frames(file, options.options, signal);

// Frames of a text; its sentences go to `voice`.
async function* spoken(voice, text, signal) {
  for await (const { sentence, frames } of gateway.said(text, options.options, signal)) {
    if (sentence) voice.hear(sentence);
    else yield frames;
  }
  if (voice.warnings.length) complain(new Error(voice.warnings.join("; ")));
}

function take(next, wanted, fresh) {
  track = next;
  clip = wanted;
  if (fresh) {
    player.load(track, wanted.file);
    at("title").textContent = wanted.title;
  } else {
    player.track = track;
  }
}

function ready() {
  say(`${track.rows.length} frames, ${(track.rows.length / track.fps).toFixed(1)} s`);
  curves.canvas.setAttribute("aria-label", curves.described(track));
  state("ready");
}

// --- the microphone ---

async function speak() {
  at("problem").replaceChildren();
  if (live) {
    await stop();
    return;
  }
  asking?.abort();
  player.unload();
  say("Waiting for the microphone…");
  at("speak").disabled = true;
  try {
    const lost = (error) => {
      complain(error);
      settle(live?.kept());
    };
    live = await Live.start(gateway, options.options, lost, faces.avatar);
    track = live.track;
    clip = null;
    at("title").textContent = "Live";
    say("Speak now. The face follows.");
    state("live");
  } catch (error) {
    complain(error);
    if (clip) player.load(track, clip.file);
    state(clip ? "ready" : "empty");
  } finally {
    at("speak").disabled = false;
  }
}

async function stop() {
  at("speak").disabled = true;
  say("The last frames…");
  const { error, ...kept } = await live.stop();
  at("speak").disabled = false;
  settle(kept);
  if (error) complain(error);
}

// Speech is over; what is kept of it, {track, file}, can be played.
function settle(kept) {
  const cut = live.track?.first > 0;
  live = null;
  if (!kept?.track.rows.length) {
    track = null;
    state("empty");
    return;
  }
  take(kept.track, { file: kept.file, title: cut ? "The end of what was spoken" : "What was spoken" }, true);
  ready();
}

// --- download ---

async function save() {
  const format = at("format").value;
  at("problem").replaceChildren();
  at("save").disabled = true;
  try {
    const blob = await gateway.converted(format, track);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${clip.title.replace(/\.[^.]*$/, "") || "face"}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    complain(error);
  } finally {
    at("save").disabled = false;
  }
}

// --- pictures ---

function draw(now) {
  requestAnimationFrame(draw);
  player.turn();
  const time = live ? live.time : player.time;
  if (!track && resting) stage.rest(resting, now);
  if (track) {
    const { frame, weights } = track.at(time);
    stage.pose(track, weights, time, now);
    const jawOpen = track.mean(["jawOpen"], weights);
    drawn = { time, frame, jawOpen, weights, frames: track.rows.length, complete: track.complete };
  }
  stage.draw(now);
  const duration = live ? track.end : player.duration;
  const seen = JSON.stringify([time, duration, track?.changes, root.dataset.state]);
  if (seen !== draw.seen) {
    draw.seen = seen;
    curves.show({ track, duration, time, live: Boolean(live) });
    playBar.show(time, duration, Boolean(live));
    caption.show(live ? null : clip?.sentences, time);
  }
}

// For tests and for the curious: what the last picture showed, and where the sound is now.
window.emotalk = Object.freeze({
  shown: () => ({
    ...drawn,
    answers,
    soundTime: player.time,
    playing: player.wanted,
    waiting: player.waiting,
    yaw: stage.yaw,
    rotations: stage.rotations,
    avatar: faces.avatar,
    state: root.dataset.state,
  }),
});

// --- start ---

function askForToken() {
  at("access").hidden = false;
  at("token").focus();
}

function listenToPeople() {
  at("file").addEventListener("change", () => {
    const [file] = at("file").files;
    if (file) open(file);
    at("file").value = ""; // the same file may be chosen again
  });
  at("speak").addEventListener("click", speak);
  at("save").addEventListener("click", save);
  at("text").addEventListener("submit", (event) => {
    event.preventDefault();
    tell(at("words").value);
  });
  at("access").addEventListener("submit", (event) => {
    event.preventDefault();
    gateway.remember(at("token").value);
    at("access").hidden = true;
    at("problem").replaceChildren();
    faces.begin(facts.avatars);
  });
}

// How much a face lives beyond its frames; those of a file that was made before have their own.
function livesBy(slider) {
  const amount = Number(slider.value);
  stage.life = amount ? new Life({ ...page.life, head: amount, gaze: amount, idle: amount }) : null;
  show(slider);
}

// Files of faces come to any page; files of sound only where somebody answers.
function listenToFiles() {
  at("head-file").addEventListener("change", () => {
    const [file] = at("head-file").files;
    if (file) faces.take(file);
    at("head-file").value = "";
  });
  let inside = 0;
  const over = (change) => {
    inside = Math.max(0, inside + change);
    root.classList.toggle("dragging", inside > 0);
  };
  addEventListener("dragenter", () => over(1));
  addEventListener("dragleave", () => over(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(-inside);
    const [file] = event.dataTransfer.files;
    if (file && HEADS.test(file.name)) faces.take(file);
    else if (file && facts) open(file);
  });
}

async function begin() {
  for (const part of document.querySelectorAll("[data-needs=gateway]")) part.hidden = Boolean(page.result);
  listen(player, at("time"));
  player.addEventListener("silent", () => say("This browser cannot play the sound of this file; the face moves without it."));
  state("empty");
  requestAnimationFrame(draw);
  listenToFiles();
  at("life").value = page.result ? 0 : page.life.head;
  at("life").addEventListener("input", () => livesBy(at("life")));
  livesBy(at("life"));
  try {
    if (page.result) {
      await faces.begin(false, page.result.head && (await given()));
      await showResult();
    } else {
      facts = await gateway.facts();
      resting = new Track(facts.names, facts.fps);
      faces.begin(facts.avatars);
      at("to-register").hidden = !facts.avatars;
      options.fill(facts, page);
      for (const format of facts.formats) at("format").append(new Option(`.${format}`, format));
      say(`wav, flac, mp3, ogg, opus, webm, m4a; up to ${Math.floor(facts.max_audio_s / 60)} min`);
      at("words").maxLength = facts.max_text_characters;
      if (facts.token && !gateway.token) askForToken();
      listenToPeople();
      root.dataset.begun = "";
    }
  } catch (error) {
    complain(error);
  }
}

// The head that was given with a result.
async function given() {
  return new File([await (await fetch("result/head")).arrayBuffer()], page.result.head);
}

async function showResult() {
  const answer = await fetch("result/frames.json");
  const { names, fps, timecode, blendshapes, rotations } = await answer.json();
  const result = new Track(names, fps, timecode);
  result.rows = blendshapes;
  result.rotations = rotations ?? null;
  result.finish();
  document.title = `${page.result.title} – EmoTalk`;
  take(result, { file: new URL("result/audio", document.baseURI).href, title: page.result.title }, true);
  ready();
}

begin();
