// Runs a browser lip-sync package on a recording, outside a browser, one result a video frame.
//
//   node run.mjs headaudio PACKAGE_FOLDER in16k.f32 ...     @met4citizen/headaudio, 16 kHz float32 samples
//   node run.mjs wawa      PACKAGE_FOLDER in48k.f32 ...     wawa-lipsync, 48 kHz float32 samples (a browser's rate)
//
// Prints, a line a file, a JSON array [frames][15] of viseme weights at 30 fps, in headaudio's viseme order.
// The packages are not changed: what a browser would give them (audio blocks, an AnalyserNode, a clock) is given here.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const ORDER = ['aa', 'E', 'I', 'O', 'U', 'PP', 'SS', 'TH', 'DD', 'FF', 'kk', 'nn', 'RR', 'CH', 'sil'];
const [kind, folder, ...inputs] = process.argv.slice(2);
function samples(file) {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
const load = (name) => import(pathToFileURL(path.resolve(folder, name)).href);

async function headaudio(audio) {
  // The node's animation (HeadAudio.update) as its source has it; its audio side is used as it is.
  globalThis.AudioWorkletNode = class { constructor() { this.port = { postMessage() {} }; } };
  const { HeadAudio } = await load('modules/headaudio.mjs');
  const { Processor } = await load('modules/processor.mjs');
  const node = new HeadAudio(null);
  const weights = new Array(15).fill(0);
  node.onvalue = (name, value) => { weights[ORDER.indexOf(name.replace('viseme_', ''))] = value; };
  const processor = new Processor({ sampleRate: 16000 }, { port: { postMessage: (o) => node._onmessage({ data: o }) } });
  const file = fs.readFileSync(path.resolve(folder, 'dist/model-en-mixed.bin'));
  globalThis.fetch = async () => ({
    ok: true, arrayBuffer: async () => file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength),
  });
  const { model } = await node.training.loadModel('model');
  processor._onmessage({ data: { event: 'model', model } });
  const out = [];
  const frames = Math.ceil(audio.length * 30 / 16000);
  for (let f = 0, at = 0; f < frames; f++) {
    for (; at < (f * 16000) / 30 && at < audio.length; at += 128) processor.process(audio.subarray(at, at + 128));
    node.update(1000 / 30);
    out.push([...weights]);
  }
  return out;
}

async function wawa(audio) {
  const N = 2048, RATE = 48000;
  let clock = 0, position = 0;
  Object.defineProperty(globalThis, 'performance', { value: { now: () => clock }, configurable: true });
  const window_ = Float64Array.from({ length: N }, (_, i) =>
    0.42 - 0.5 * Math.cos((2 * Math.PI * i) / N) + 0.08 * Math.cos((4 * Math.PI * i) / N));
  const smooth = new Float64Array(N / 2);
  const analyser = { fftSize: N, frequencyBinCount: N / 2, getByteFrequencyData(data) {   // Web Audio API, section 1.8
    const re = new Float64Array(N), im = new Float64Array(N);
    for (let i = 0; i < N; i++) re[i] = (audio[position - N + i] ?? 0) * window_[i];
    fft(re, im);
    for (let k = 0; k < N / 2; k++) {
      smooth[k] = 0.8 * smooth[k] + 0.2 * Math.hypot(re[k], im[k]) / N;
      const db = 20 * Math.log10(smooth[k] + 1e-20);
      data[k] = Math.max(0, Math.min(255, Math.floor((255 / 70) * (db + 100))));
    }
  } };
  globalThis.window = { AudioContext: class { sampleRate = RATE; createAnalyser() { return analyser; } } };
  const { Lipsync } = await load('dist/wawa-lipsync.es.js');
  const lips = new Lipsync();
  const out = [];
  const frames = Math.ceil(audio.length * 30 / RATE);
  for (let tick = 0; tick < frames * 2; tick++) {            // a page calls it 60 times a second
    position = Math.floor(tick * RATE / 60);
    clock = tick * 1000 / 60;
    lips.processAudio();
    if (tick % 2 === 0) out.push(ORDER.map((v) => (lips.viseme === `viseme_${v}` ? 1 : 0)));
  }
  return out;
}

function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let i = 0; i < n; i += size) {
      for (let k = 0; k < size / 2; k++) {
        const c = Math.cos((-2 * Math.PI * k) / size), s = Math.sin((-2 * Math.PI * k) / size);
        const a = i + k, b = a + size / 2;
        const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x; im[b] = im[a] - y; re[a] += x; im[a] += y;
      }
    }
  }
}

for (const input of inputs) fs.writeSync(1, JSON.stringify(await { headaudio, wawa }[kind](samples(input))) + '\n');
