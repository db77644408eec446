"""Frames that come late, cut anywhere, or not at all: the page before a server that this test controls."""

import asyncio
import json
import threading

import numpy as np
import pytest
import uvicorn
from browsing import agrees
from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse

from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.timing import FPS
from emotalk_gateway.listening import base_url, listen
from emotalk_gateway.page.viewer import add_viewer

pytestmark = pytest.mark.browser

FIRST = 45
"""Frames that come at once."""


class SlowFace:
    """Sends the first frames of ``face``, and the rest when it is told to."""

    def __init__(self, face):
        self.face = face
        self.go_on = threading.Event()
        self.breaks = False

    def app(self):
        app = FastAPI()
        facts = {"names": BLENDSHAPES, "fps": FPS, "persons": 3, "emotions": ["joy"], "formats": ["csv"]}
        facts |= {"max_audio_s": 60, "max_upload_bytes": 10**9, "token": False}
        app.get("/api/v1/capabilities")(lambda: JSONResponse(facts))

        @app.post("/api/v1/process-audio-stream")
        async def process():
            return StreamingResponse(self.events(), media_type="text/event-stream")

        add_viewer(app)
        return app

    async def events(self):
        yield self.event(0, FIRST)
        while not self.go_on.is_set():
            await asyncio.sleep(0.02)
        if self.breaks:
            yield 'event: error\ndata: {"error": "ServerBusy", "message": "the face server is busy"}\n\n'
            return
        whole = self.event(FIRST, len(self.face)) + f'event: end\r\ndata: {{"frames": {len(self.face)}}}\r\n\r\n'
        for place in range(0, len(whole), 4999):  # cut in the middle of everything
            yield whole[place : place + 4999]

    def event(self, first, last):
        rows = zip(self.face.timecodes[first:last], self.face.weights[first:last], strict=True)
        listed = [{"timecode": float(seconds), "blendshapes": row.tolist()} for seconds, row in rows]
        return f"data: {json.dumps(listed)}\n\n"


@pytest.fixture
def slow(face):
    server = SlowFace(face)
    with listen("127.0.0.1", 0) as listening:
        uvicorn_server = uvicorn.Server(uvicorn.Config(server.app(), log_config=None))
        thread = threading.Thread(target=uvicorn_server.run, args=([listening],))
        thread.start()
        server.url = base_url(listening)
        yield server
        server.go_on.set()
        uvicorn_server.should_exit = True
        thread.join(10)


def test_sound_starts_with_the_first_frames_and_waits_for_those_to_come(page, slow, voice, face):
    page.open(slow.url)
    page.choose(voice)
    page.until(f"emotalk.shown().frames === {FIRST}")
    page.press("#play")
    page.until("emotalk.shown().time > 0.3")
    agrees(page.shown(), face)
    page.until("emotalk.shown().waiting")
    held = page.shown()
    assert 1.0 < held["soundTime"] < FIRST / FPS, "the sound ran ahead of the face"
    assert page.shown()["soundTime"] == held["soundTime"]
    slow.go_on.set()
    page.until("emotalk.shown().time > 1.8")
    shown = page.shown()
    assert shown["frames"] == len(face)
    agrees(shown, face)


def test_frames_that_never_come_are_said_and_those_that_came_stay(page, slow, voice, face):
    slow.breaks = True
    page.open(slow.url)
    page.choose(voice)
    page.until(f"emotalk.shown().frames === {FIRST}")
    slow.go_on.set()
    assert page.until("document.querySelector('#problem').textContent") == "The face server is busy."
    page.settled()
    assert page.shown()["frames"] == FIRST
    page.press("#play")
    page.until("emotalk.shown().time > 2")
    assert page.shown()["jawOpen"] == pytest.approx(float(face.channel("jawOpen")[FIRST - 1]), abs=1e-6)


def test_events_are_read_however_they_are_cut(page, slow):
    page.open(slow.url)
    text = ': note\r\ndata: [1]\r\n\r\nevent: end\ndata: {"a":\ndata:  "ü"}\n\nid: 3\n\n'
    read = page.driver.execute_async_script(
        """
        const [text, size, done] = arguments;
        import("/static/sse.js").then(async ({ events }) => {
          const bytes = new TextEncoder().encode(text), found = [];
          for (let cut = 1; cut < size; cut++) {
            const body = new ReadableStream({ start(to) {
              for (let i = 0; i < bytes.length; i += cut) to.enqueue(bytes.slice(i, i + cut));
              to.close();
            } });
            const one = [];
            for await (const event of events(body)) one.push([event.event, event.data]);
            found.push(one);
          }
          done(found);
        });
        """,
        text,
        12,
    )
    assert read == [[["message", "[1]"], ["end", '{"a":\n "ü"}']]] * 11


def test_straight_lines_lie_between_frames(page, slow):
    page.open(slow.url)
    found = page.driver.execute_async_script(
        """
        const done = arguments[0];
        import("/static/track.js").then(({ Track }) => {
          const track = new Track(["a", "b"], 10, 2);
          const seen = [track.at(2).weights];
          [[0, 1], [1, 0], [0.5, 0.5]].forEach((row, i) => track.put(2 + i / 10, row));
          for (const time of [0, 2, 2.05, 2.125, 2.2, 9]) seen.push(track.at(time).weights);
          let refused = null;
          try { track.put(2.5, [0, 0]); } catch (error) { refused = error.name; }
          done([seen, track.end, refused]);
        });
        """
    )
    seen, end, refused = found
    right = [[0, 0], [0, 1], [0, 1], [0.5, 0.5], [0.875, 0.125], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_allclose(seen, right, atol=1e-9)
    assert (end, refused) == (pytest.approx(2.3), "RangeError")
