// Pictures of a face that come over a WebSocket, decoded and shown when they are due. Rule: what was shown later is not shown
// earlier: pictures are decoded in the order in which they came, each at its time, so that a browser holds none of them.

export const IDLE = 2; // flag: nothing is said
const KEY = 1; // flag: it can be decoded by itself
const HEAD_BYTES = 9;
const MOST_WAITING = 30 * 60; // pictures: a minute

// Which of "video" and "mjpeg" this browser can show, for WebCodecs wants a page of this machine or over HTTPS.
export async function coding() {
  const config = { codec: "vp09.00.31.08", codedWidth: 512, codedHeight: 512 };
  try {
    return (await VideoDecoder.isConfigSupported(config)).supported ? "video" : "mjpeg";
  } catch {
    return "mjpeg";
  }
}

export class Pictures {
  // canvas: where they are shown; video: {codec, width, height}, as the gateway says; keyframe: asks it for one.
  constructor(canvas, { codec, width, height }, keyframe) {
    Object.assign(canvas, { width, height });
    this.paper = canvas.getContext("2d", { alpha: false });
    this.keyframe = keyframe;
    this.codec = codec;
    this.waiting = []; // {flags, time, data}
    this.shown = { time: 0, count: 0, idle: true, at: 0 };
    this.failed = 0;
    this.alone = true; // the next must be one that can be decoded by itself
    if (codec !== "image/jpeg") this.configure();
  }

  configure() {
    this.alone = true;
    this.decoder = new VideoDecoder({
      output: (frame) => {
        this.show(frame, frame.timestamp);
        frame.close();
      },
      error: () => {
        this.failed += 1;
        this.configure();
        this.keyframe();
      },
    });
    this.decoder.configure({ codec: this.codec, optimizeForLatency: true });
  }

  // message: ArrayBuffer of a binary message.
  take(message) {
    const view = new DataView(message);
    const time = Number(view.getBigUint64(1, true)) / 1e6;
    this.waiting.push({ flags: view.getUint8(0), time, data: new Uint8Array(message, HEAD_BYTES) });
    if (this.waiting.length > MOST_WAITING) this.skip(this.waiting.length);
  }

  // Seconds of the newest of what is said, or null.
  get newest() {
    return this.waiting.findLast(({ flags }) => !(flags & IDLE))?.time ?? null;
  }

  // Decode what is due: all that is idle, and of what is said up to `time` seconds; null: none of it yet.
  draw(time) {
    let due = 0;
    while (due < this.waiting.length && this.isDue(this.waiting[due], time)) due += 1;
    if (!due) return;
    this.skip(due);
  }

  isDue({ flags, time }, now) {
    return Boolean(flags & IDLE) || (now !== null && time <= now);
  }

  // Show the last of the first `due`, by way of as few others as it takes.
  skip(due) {
    const ready = this.waiting.splice(0, due);
    const first = this.decoder ? Math.max(0, ready.findLastIndex(({ flags }) => flags & KEY)) : ready.length - 1;
    for (const picture of ready.slice(first)) this.decode(picture);
  }

  decode({ flags, time, data }) {
    const stamp = Math.round(time * 1e6);
    this.idle = Boolean(flags & IDLE);
    if (!this.decoder) {
      createImageBitmap(new Blob([data], { type: this.codec })).then((picture) => this.show(picture, stamp));
      return;
    }
    if (this.alone && !(flags & KEY)) return;
    this.alone = false;
    this.decoder.decode(new EncodedVideoChunk({ type: flags & KEY ? "key" : "delta", timestamp: stamp, data }));
  }

  show(picture, stamp) {
    this.paper.drawImage(picture, 0, 0, this.paper.canvas.width, this.paper.canvas.height);
    this.shown = { time: stamp / 1e6, count: this.shown.count + 1, idle: this.idle, at: performance.now() };
  }

  // Forget what is not shown yet, as after a barge-in; the next must be one that can be decoded by itself.
  clear() {
    this.waiting = [];
    this.alone = true;
    this.keyframe();
  }

  close() {
    if (this.decoder?.state !== "closed") this.decoder?.close();
  }
}
