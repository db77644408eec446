// The keyboard, for the whole page. Rule: a control that has the focus keeps the keys that it needs itself.

const TYPED = "select, textarea, input:not([type=range]):not([type=file])";
const PRESSED = `${TYPED}, button, a, summary, input[type=file]`;

export function listen(player, timeline) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || !player.track) return;
    const at = event.target;
    if (event.key === " ") {
      if (at.matches(PRESSED)) return;
      if (!event.repeat) player.toggle();
    } else if (at === timeline || !at.matches(`${TYPED}, [type=range]`)) {
      if (!moved(player, event, at === timeline)) return;
    } else {
      return;
    }
    event.preventDefault();
  });
}

// On the timeline all keys of a slider; elsewhere those that do not scroll the page.
function moved(player, { key, shiftKey }, onTimeline) {
  const second = Math.round(player.track.fps);
  const frame = shiftKey ? second : 1;
  const frames = { ArrowLeft: -frame, ArrowRight: frame };
  if (onTimeline) Object.assign(frames, { ArrowDown: -frame, ArrowUp: frame, PageDown: -second, PageUp: second });
  if (frames[key]) player.step(frames[key]);
  else if (onTimeline && key === "Home") player.seek(0);
  else if (onTimeline && key === "End") player.seek(player.duration);
  else return false;
  return true;
}
