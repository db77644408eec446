// Who is on the stage: the packaged head, a head of one's own, or a registered avatar.

import { sentence } from "./refusal.js";

const PACKAGED = "head";
const OWN = "own";
const AVATAR = "avatar:";

export class Faces {
  // parts: {select, notes, forget}, elements; kept: where an own head is kept.
  constructor(stage, gateway, { select, notes, forget }, kept) {
    Object.assign(this, { stage, gateway, select, notes, forget, kept });
    this.shown = null;
    this.own = null; // the file
    select.addEventListener("change", () => this.choose(select.value));
    forget.addEventListener("click", () => this.forgetOwn());
  }

  // The avatar on the stage; null: none.
  get avatar() {
    return this.shown?.startsWith(AVATAR) ? this.shown.slice(AVATAR.length) : null;
  }

  // Show the head that is `given`, a File, or what the page's address asks for, else what was shown last, else the packaged
  // head.
  async begin(avatars, given = null) {
    this.offer(PACKAGED, "Packaged head");
    if (given) {
      this.own = given;
      this.offer(OWN, given.name);
      await this.choose(OWN);
      return;
    }
    this.has(await this.kept.read());
    const asked = new URLSearchParams(location.search).get("avatar");
    if (asked) this.offer(AVATAR + asked, asked);
    if (avatars) this.listed();
    const wanted = asked ? AVATAR + asked : this.own && this.kept.last === OWN ? OWN : PACKAGED;
    if ((await this.choose(wanted)) || wanted === PACKAGED) return;
    const why = this.notes.textContent;
    await this.choose(PACKAGED);
    this.tell(why);
  }

  // Add the gateway's avatars to the list.
  async listed() {
    try {
      const answer = await this.gateway.answer("avatar/list");
      for (const { id, avatar_name: name } of (await answer.json()).avatars) this.offer(AVATAR + id, name || id);
    } catch (error) {
      this.tell(sentence(error));
    }
  }

  // Show `file`, a .glb or .vrm, and keep it.
  async take(file) {
    const before = this.own;
    this.own = file;
    if (!(await this.choose(OWN))) {
      this.own = before;
      return;
    }
    this.has(file);
    this.select.value = OWN;
    const why = await this.kept.write(file);
    if (why) this.tell(`${this.notes.textContent} ${why}`);
  }

  async forgetOwn() {
    await this.kept.forget();
    this.has(null);
    if (this.shown === OWN) await this.choose(PACKAGED);
  }

  has(file) {
    this.own = file;
    this.forget.hidden = !file;
    if (file) this.offer(OWN, file.name);
    else this.option(OWN)?.remove();
  }

  // True once it is shown.
  async choose(value) {
    const done = await this.show(value);
    this.select.value = this.shown ?? PACKAGED;
    if (done) this.kept.last = value;
    return done;
  }

  // Put a face on the stage; false if that is not possible, and why is told.
  async show(value) {
    this.tell("");
    try {
      if (this.stage.possible) this.tell(await this.stage.show(...(await this.content(value))));
      this.shown = value;
      return true;
    } catch (error) {
      this.tell(value === OWN ? error.message : sentence(error)); // that begins with the file's name
      return false;
    }
  }

  async content(value) {
    if (value === OWN) return [OWN, await this.own.arrayBuffer(), this.own.name];
    if (value === PACKAGED) return [PACKAGED, await (await this.gateway.answer("head.glb")).arrayBuffer()];
    const path = `avatar/${encodeURIComponent(value.slice(AVATAR.length))}/avatar.glb`;
    return ["portrait", await (await this.gateway.answer(path)).arrayBuffer()];
  }

  offer(value, name) {
    const there = this.option(value);
    if (there) there.textContent = name;
    else this.select.append(new Option(name, value));
  }

  option(value) {
    return [...this.select.options].find((option) => option.value === value);
  }

  tell(words) {
    this.notes.textContent = words;
  }
}
