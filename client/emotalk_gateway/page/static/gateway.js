// The gateway's routes, as far as the page needs them; docs/gateway.md has them all.

import { Refusal } from "./refusal.js";
import { events } from "./sse.js";

const address = (path) => new URL(path, document.baseURI);

export class Gateway {
  constructor() {
    this.token = sessionStorage.getItem("token");
  }

  // Keep the token, for this tab and as long as it lives.
  remember(token) {
    this.token = token;
    sessionStorage.setItem("token", token);
  }

  // Names, fps, persons, emotions, formats and limits.
  async facts() {
    return (await this.answer("api/v1/capabilities")).json();
  }

  // Lists of {timecode, blendshapes} for the speech in `file`, as they come.
  async *frames(file, options, signal) {
    const body = new FormData();
    for (const [name, value] of Object.entries(options)) {
      body.append(name, typeof value === "object" ? JSON.stringify(value) : value);
    }
    body.append("file", file, file.name ?? "speech.wav");
    const response = await this.answer("api/v1/process-audio-stream", { method: "POST", body, signal });
    for await (const { event, data } of events(response.body)) {
      const said = JSON.parse(data);
      if (event === "error") throw new Refusal(said);
      if (event === "end") return;
      if (event === "message") yield said;
    }
    throw new Refusal({ error: "Cut", message: "the answer ended before its end; try again" });
  }

  // What is said of `text`, as it comes: {sentence}, with its sound, and {frames}.
  async *said(text, options, signal) {
    const body = JSON.stringify({ text, options });
    const headers = { "Content-Type": "application/json" };
    const response = await this.answer("api/v1/say", { method: "POST", body, headers, signal });
    for await (const { event, data } of events(response.body)) {
      const said = JSON.parse(data);
      if (event === "error") throw new Refusal(said);
      if (event === "end") return;
      if (event === "sentence") yield { sentence: said };
      if (event === "message") yield { frames: said };
    }
    throw new Refusal({ error: "Cut", message: "the answer ended before its end; try again" });
  }

  // The clip as a file in `format`, as a Blob.
  async converted(format, { fps, start, rows }) {
    const body = JSON.stringify({ fps, timecode: start, blendshapes: rows });
    const headers = { "Content-Type": "application/json" };
    const query = new URLSearchParams({ format });
    return (await this.answer(`api/v1/convert?${query}`, { method: "POST", body, headers })).blob();
  }

  // The address of live speech.
  get stream() {
    const url = address("ws/stream");
    url.protocol = url.protocol.replace("http", "ws");
    return url;
  }

  async answer(path, { headers = {}, ...request } = {}) {
    const access = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    const response = await fetch(address(path), { ...request, headers: { ...headers, ...access } });
    if (!response.ok) throw await Refusal.of(response);
    return response;
  }
}
