// Level, person and emotions: the options of a face.

const SETTLES = 300; // milliseconds without a change after which a change counts
const SPOKEN = { outofbreath: "out of breath" };

export class OptionControls {
  // changed: called when the options have changed and come to rest.
  constructor(expression, emotions, changed) {
    this.expression = expression;
    this.emotions = emotions;
    this.changed = changed;
    this.amounts = new Map();
  }

  // facts: of the gateway; level and person: where they start.
  fill(facts, { level, person }) {
    this.level = this.slider(this.expression, "level", level);
    if (facts.levels === false) this.level.parentElement.remove(); // the served model has none
    this.person = this.persons(facts.persons, person);
    for (const name of facts.emotions) this.amounts.set(name, this.slider(this.emotions, name, 0));
    this.reset = document.createElement("button");
    Object.assign(this.reset, { type: "button", textContent: "Reset", hidden: true });
    this.reset.setAttribute("aria-label", "All emotions to zero");
    this.reset.addEventListener("click", () => {
      for (const input of this.amounts.values()) input.value = 0;
      this.emotions.dispatchEvent(new Event("input"));
      this.amounts.values().next().value.focus();
    });
    this.emotions.parentElement.querySelector("h2").after(this.reset);
    for (const group of [this.expression, this.emotions]) group.addEventListener("input", () => this.settle());
  }

  // The options to send: level, person, and the emotions that are not 0.
  get options() {
    const emotions = [...this.amounts].map(([name, input]) => [name, Number(input.value)]).filter(([, amount]) => amount);
    const options = { level: Number(this.level.value), person: Number(this.person.value) };
    return emotions.length ? { ...options, emotions: Object.fromEntries(emotions) } : options;
  }

  set disabled(disabled) {
    for (const input of [this.level, this.person, ...this.amounts.values()]) input.disabled = disabled;
  }

  settle() {
    for (const input of [this.level, ...this.amounts.values()]) show(input);
    this.reset.hidden = ![...this.amounts.values()].some((input) => Number(input.value));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.changed(), SETTLES);
  }

  slider(group, name, value) {
    const row = document.createElement("label");
    const word = SPOKEN[name] ?? name;
    const text = document.createElement("span");
    text.textContent = word.charAt(0).toUpperCase() + word.slice(1);
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: 1, step: 0.05, name, value });
    const output = document.createElement("output");
    output.setAttribute("aria-hidden", "true"); // the slider says it
    row.append(text, input, output);
    group.append(row);
    show(input);
    return input;
  }

  persons(count, value) {
    const row = document.createElement("label");
    const text = document.createElement("span");
    text.textContent = "Person";
    const select = document.createElement("select");
    select.name = "person";
    for (let number = 0; number < count; number++) select.append(new Option(String(number), number));
    select.value = value;
    row.append(text, select);
    this.expression.append(row);
    return select;
  }
}

// Show what a slider says.
export function show(input) {
  const amount = Number(input.value);
  input.parentElement.querySelector("output").textContent = amount ? amount.toFixed(2) : "0";
  input.style.setProperty("--part", amount);
  input.parentElement.classList.toggle("set", amount > 0);
}
