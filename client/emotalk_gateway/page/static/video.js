// The page at /video: a face as pictures, drawn by the gateway.

import { Gateway } from "./gateway.js";
import { sentence } from "./refusal.js";
import { Talk } from "./talk.js";

const at = (id) => document.getElementById(id);
const gateway = new Gateway();
const asked = new URLSearchParams(location.search);
let talk = null;

function complain(error) {
  at("problem").textContent = error ? sentence(error) : "";
  if (error?.status === 401 || error?.error === "NotAuthorised") at("access").hidden = false;
}

function state(name) {
  document.documentElement.dataset.state = name;
  for (const id of ["say", "speak"]) at(id).disabled = !talk;
  at("speak").setAttribute("aria-pressed", String(name === "live"));
  at("speak").textContent = name === "live" ? "Stop" : "Speak";
}

function look() {
  const given = {};
  for (const name of ["size", "background"]) if (asked.has(name)) given[name] = asked.get(name);
  if (asked.has("avatar")) given.avatar_id = asked.get("avatar");
  return given;
}

async function begin() {
  complain(null);
  state("opening");
  try {
    talk = await Talk.open(gateway, at("face"), look(), heard);
    state("ready");
  } catch (error) {
    talk = null;
    complain(error);
    state("closed");
  }
}

function heard(said) {
  if (said.type === "lost") {
    talk = null;
    complain(said.error);
    state("closed");
  } else if (said.type === "end") {
    document.documentElement.dataset.ended = said.utterance ?? "";
  }
}

async function speak() {
  complain(null);
  if (talk.microphone) {
    talk.hush();
    state("ready");
    return;
  }
  try {
    await talk.listen();
    state("live");
  } catch (error) {
    complain(error);
  }
}

function draw() {
  talk?.draw();
  requestAnimationFrame(draw);
}

at("text").addEventListener("submit", (event) => {
  event.preventDefault();
  complain(null);
  const text = at("words").value.trim();
  if (text) talk?.say(text);
});
at("speak").addEventListener("click", speak);
at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  gateway.remember(at("token").value);
  at("access").hidden = true;
  begin();
});

// For tests and for the curious: the last picture, and what is due now.
window.emotalk = Object.freeze({
  shown: () => ({ ...talk?.pictures?.shown, due: talk?.time ?? null, spoken: talk?.spoken() ?? 0, codec: talk?.pictures?.codec }),
});

requestAnimationFrame(draw);
begin();
