"""Live speech on the page may go on for hours: what a picture costs, and what is kept. Steps are counted, not timed."""

import pytest
from browsing import served

from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.timing import FPS

pytestmark = pytest.mark.browser

COSTS = """
const [names, fps, minutes, live, done] = arguments;
(async () => {
  const { Curves } = await import("/static/curves.js");
  const { Track } = await import("/static/track.js");
  const canvas = document.createElement("canvas");
  canvas.style.cssText = "position: fixed; inset: 0; width: 800px; height: 300px";
  document.body.append(canvas);
  const track = new Track(names, fps);
  const frame = (i) => track.put(i / fps, names.map((_, n) => Math.abs(Math.sin(i + n))));
  const frames = minutes * 60 * fps;
  for (let i = 0; i < frames; i++) frame(i);
  const curves = new Curves(canvas, () => {});
  const show = () => curves.show({ track, duration: track.end, time: track.end - 0.1, live });
  show();
  let means = 0, lines = 0;
  const { mean } = Track.prototype;
  Track.prototype.mean = function (...given) { means++; return mean.apply(this, given); };
  const pen = CanvasRenderingContext2D.prototype, { lineTo } = pen;
  pen.lineTo = function (...given) { lines++; return lineTo.apply(this, given); };
  frame(frames);
  frame(frames + 1);
  show();
  Track.prototype.mean = mean;
  pen.lineTo = lineTo;
  canvas.remove();
  done([means, lines]);
})();
"""

KEPT = """
const [names, fps, rate, minutes, done] = arguments;
(async () => {
  const { Live, KEPT_S, SPARE_S } = await import("/static/live.js");
  const live = new Live(() => {});
  let sent = 0;
  live.microphone = { rate, close() {} };
  live.socket = { readyState: WebSocket.OPEN, bufferedAmount: 0, send: (block) => (sent += block.length), close() {} };
  live.started = () => {};
  live.take({ type: "started", names, fps });
  let most = 0, mostRows = 0;
  const size = rate / 50, each = rate / fps;
  for (let block = 0; block < minutes * 60 * 50; block++) {
    // Each sample says which frame it belongs to.
    live.heard(Int16Array.from({ length: size }, (_, i) => Math.floor((block * size + i) / each)));
    const frames = [];
    while (live.track.end + frames.length / fps < live.samples / rate - 0.2) {
      const frame = live.track.first + live.track.rows.length + frames.length;
      frames.push({ timecode: frame / fps, blendshapes: names.map(() => frame) });
    }
    if (frames.length) live.take({ type: "frames", frames });
    most = Math.max(most, live.blocks.reduce((sum, block) => sum + block.length, 0) / rate);
    mostRows = Math.max(mostRows, live.track.rows.length / fps);
    if (block % 1000 === 999) await new Promise((resolve) => setTimeout(resolve));
  }
  const spoken = live.samples;
  const { track, file } = live.kept();
  const sound = new Int16Array(await file.slice(44).arrayBuffer());
  const size_said = new DataView(await file.slice(40, 44).arrayBuffer()).getUint32(0, true);
  done({
    most, mostRows, allowed: KEPT_S + SPARE_S, kept: KEPT_S, sent, spoken,
    first: [track.rows[0][0], sound[0], sound[each - 1], sound[each]],
    start: track.start, rows: track.rows.length / fps, sound: sound.length / rate, said: size_said / 2 / rate,
  });
})();
"""


@pytest.mark.parametrize("live", [True, False])
def test_a_picture_costs_the_same_after_half_an_hour(page, gateway, live):
    page.open(gateway)
    ask = page.driver.execute_async_script
    short, long = (ask(COSTS, BLENDSHAPES, FPS, minutes, live) for minutes in (1, 30))
    assert long[0] == short[0] < 50, "the mean of blendshapes, computed"
    assert 0 < long[1] <= 6 * 2 * 800, "points, drawn: not more than two to a pixel"
    if live:
        assert long[1] <= short[1] + 6 * 3


def test_the_last_minutes_of_sound_and_frames_are_kept(page, gateway):
    page.open(gateway)
    found = page.driver.execute_async_script(KEPT, BLENDSHAPES, FPS, 3000, 12)
    assert found["sent"] == found["spoken"] == 12 * 60 * 3000
    assert max(found["most"], found["mostRows"]) <= found["allowed"] + 1
    assert found["start"] == 0
    assert found["kept"] - 1 < found["rows"] <= found["allowed"] + 1
    assert found["rows"] <= found["sound"] == found["said"] < found["rows"] + 0.5
    frame, sample, last_of_frame, next_frame = found["first"]
    assert frame == sample == last_of_frame == next_frame - 1 > 6 * 60 * FPS


def test_what_is_short_is_kept_whole(page, gateway):
    page.open(gateway)
    found = page.driver.execute_async_script(KEPT, BLENDSHAPES, FPS, 3000, 1)
    assert found["first"][:2] == [0, 0]
    assert found["sound"] == 60
    assert found["rows"] == pytest.approx(59.8, abs=0.1)


def test_curves_of_long_clips_keep_their_peaks(page, gateway):
    page.open(gateway)
    seen = page.driver.execute_async_script(
        """
        const done = arguments[0];
        Promise.all([import("/static/lanes.js"), import("/static/track.js")]).then(([{ Lanes }, { Track }]) => {
          const track = new Track(["a", "b"], 10);
          for (let i = 0; i < 1000; i++) track.put(i / 10, [i === 333 ? 1 : 0.5, i === 500 ? 0 : 0.25]);
          const lanes = new Lanes(track, [["a"], ["a", "b"]], 0.3);
          lanes.update();
          const all = [...lanes.points(0, 0, 100, 5000)], few = [...lanes.points(0, 0, 100, 100)];
          const both = [...lanes.points(1, 49, 51, 100)];
          track.drop(400);
          track.put(50, [0.75, 0.25]);
          lanes.update();
          const later = [...lanes.points(0, 0, 100, 5000)];
          done([all.length, few.length, few.filter(([, value]) => value === 1), both.length, later.length,
            later[0], later.find(([, value]) => value === 0.75), lanes.tops]);
        });
        """
    )
    every, few, peak, both, later, first, replaced, tops = seen
    assert (every, later) == (1000, 600)
    assert few <= 100
    assert peak == [[33.3, 1]]
    assert both == 21
    assert first == [40, 0.5]
    assert replaced == [50, 0.75]
    assert tops == [0.75, 0.5]


def test_what_was_said_before_the_connection_ended_is_kept(page, triton):
    with served(triton, max_stream_s=2) as limited:
        page.open(limited)
        page.until("'begun' in document.documentElement.dataset")
        page.press("#speak")
        assert "at most 2 s in one session" in page.until("document.querySelector('#problem').textContent")
        page.settled()
        assert 1 < page.shown()["frames"] / FPS <= 2.1
        assert page.find("#title").text == "What was spoken"
        with page.answered():
            page.set({"[name=level]": 0.5})
