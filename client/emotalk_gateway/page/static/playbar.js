// Play, pause, and the timeline.

export class PlayBar {
  constructor(player, { play, time, clock }) {
    Object.assign(this, { player, play, time, clock });
    play.addEventListener("click", () => player.toggle());
    time.addEventListener("input", () => player.seek(Number(time.value)));
    player.addEventListener("change", () => this.buttons());
  }

  buttons() {
    const { wanted, waiting, track, duration } = this.player;
    this.time.max = duration;
    this.play.disabled = this.time.disabled = !track;
    this.play.classList.toggle("playing", wanted);
    this.play.classList.toggle("waiting", waiting);
    this.play.setAttribute("aria-label", wanted ? "Pause" : "Play");
  }

  // Seconds; live: there is no end yet.
  show(time, duration, live) {
    this.play.classList.toggle("waiting", this.player.waiting);
    this.time.max = duration;
    this.time.value = time;
    this.time.style.setProperty("--part", duration ? time / duration : 0);
    this.time.setAttribute("aria-valuetext", `${time.toFixed(1)} of ${duration.toFixed(1)} seconds`);
    const whole = document.createElement("span");
    whole.textContent = live ? " s" : ` / ${duration.toFixed(1)} s`;
    this.clock.replaceChildren(time.toFixed(1), whole);
  }
}
