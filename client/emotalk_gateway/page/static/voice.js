// A text as it is said: its sentences' sound put together, and words that follow it.

import { wav } from "./wav.js";

export class Voice {
  constructor() {
    this.sentences = []; // {text, start, end, words: [{word, start, end}], warnings}
    this.blocks = []; // Int16Arrays
    this.rate = 0;
  }

  // Take in a sentence as the gateway tells of it.
  hear({ audio, sample_rate, ...sentence }) {
    const bytes = Uint8Array.from(atob(audio), (letter) => letter.charCodeAt(0));
    this.blocks.push(new Int16Array(bytes.buffer));
    this.rate = sample_rate;
    this.sentences.push(sentence);
  }

  // The sound of them all.
  get file() {
    return wav(this.blocks, this.rate);
  }

  // What was left out of the text, in words.
  get warnings() {
    return this.sentences.flatMap(({ warnings }) => warnings);
  }
}

// Shows what is said at a moment, its word marked.
export class Caption {
  constructor(element) {
    this.element = element;
    this.sentence = null;
    this.word = -1;
  }

  show(sentences, time) {
    const sentence = sentences?.findLast(({ start }) => start <= time) ?? sentences?.[0] ?? null;
    const word = sentence ? sentence.words.findIndex(({ start, end }) => start <= time && time < end) : -1;
    if (sentence === this.sentence && word === this.word) return;
    this.sentence = sentence;
    this.word = word;
    this.element.hidden = !sentence;
    this.element.replaceChildren(...(sentence ? parts(sentence, word) : []));
  }
}

// The sentence as it was written, with the word in a <mark>: where it is found, word after word.
function parts({ text, words }, marked) {
  let from = 0;
  for (let i = 0; i <= marked; i += 1) {
    const { word } = words[i];
    const at = text.toLowerCase().indexOf(word.toLowerCase(), from);
    if (at < 0) continue; // written in another way than it is said: a number, for one
    if (i === marked) {
      const mark = document.createElement("mark");
      mark.textContent = text.slice(at, at + word.length);
      return [text.slice(0, at), mark, text.slice(at + word.length)];
    }
    from = at + word.length;
  }
  return [text];
}
