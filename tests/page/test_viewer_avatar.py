"""A registered avatar on the page: drawn in the browser, moved by the same frames, chosen in a conversation."""

import base64
import io
from dataclasses import replace

import avatar_faces
import avatar_packages
import numpy as np
import pytest
from browsing import SMALL, served
from PIL import Image

from emotalk_avatar.fitting import fit
from emotalk_avatar.package import GLB
from emotalk_avatar.store import AvatarStore
from emotalk_avatar.video.drawing import Drawing
from emotalk_contract.arkit import BLENDSHAPES, INDEX

pytestmark = pytest.mark.browser

READY = "document.querySelector('#face').dataset.ready === ''"
POSED = """
const [content, weights, rotations, names, done] = arguments;
(async () => {
  const { Portrait } = await import("/static/portrait.js");
  const box = document.createElement("div");
  box.style.cssText = "position: fixed; left: 0; top: 0; width: 240px; height: 280px; z-index: 9";
  document.body.append(box);
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)).buffer;
  const portrait = await Portrait.of(box, bytes);
  const { left, right, top, bottom } = portrait.camera;
  // As much as a video of this shape shows: all of the photograph.
  const [x0, y0, x1, y1] = portrait.picture;
  Object.assign(portrait.camera, { left: x0, right: x1, top: y0, bottom: y1 });
  portrait.camera.updateProjectionMatrix();
  portrait.pose(names, weights, rotations);
  portrait.stale = true;
  portrait.draw(0);
  const picture = portrait.renderer.domElement.toDataURL("image/png");
  portrait.dispose();
  box.remove();
  done([picture, [left, right, top, bottom]]);
})();
"""


@pytest.fixture(scope="module")
def content():
    return fit(avatar_faces.picture(), avatar_faces.face()).glb()


@pytest.fixture(scope="module")
def registered(triton, content, tmp_path_factory):
    """A gateway's address, and the id of its avatar."""
    folder = tmp_path_factory.mktemp("avatars")
    draft = avatar_packages.draft(name="Ada")
    avatar = AvatarStore(folder).add(replace(draft, files={**draft.files, GLB: content}))
    with served(triton, avatars=folder) as url:
        yield url, avatar.id


@pytest.fixture(scope="module")
def gateway(registered):
    """All pages of this module are its own gateway's."""
    return registered[0]


def test_an_avatar_speaks_instead_of_the_head(page_3d, registered, voice):
    page, (url, avatar) = page_3d, registered
    page.open(f"{url}?avatar={avatar}", *SMALL)
    page.until(READY)
    page.until("document.querySelector('#who').selectedOptions[0].textContent === 'Ada'")
    page.choose(voice)
    page.settled()
    pictures = []
    for seconds in (0.0, 0.95):
        page.set({"#time": seconds})
        page.until(f"Math.abs(emotalk.shown().time - {seconds}) < 0.02")
        page.shown()
        page.shown()
        pictures.append(page.picture("#face").astype(int))
    moved = np.abs(pictures[0] - pictures[1]).max(axis=2) > 40
    assert moved.mean() > 0.001, "the mouth does not move"
    assert page.run("return emotalk.shown().avatar") == avatar
    page.set({"#who": "head"})
    page.run("document.querySelector('#who').dispatchEvent(new Event('change'))")
    page.until(f"emotalk.shown().avatar === null && {READY}")


def test_an_id_that_nobody_has_is_told_and_the_head_speaks(page_3d, registered):
    page, (url, _) = page_3d, registered
    page.expected.append("404")
    page.open(f"{url}?avatar=nobody", *SMALL)
    page.until(f"{READY} && document.querySelector('#who').value === 'head'")
    assert page.find("#who-notes").text.startswith("No avatar has the id 'nobody'")


@pytest.mark.parametrize("rotations", [(0, 0, 0), (0.15, 0.1, 0.2)])
def test_the_page_draws_what_a_video_does(page_3d, gateway, content, rotations):
    page = page_3d
    page.open(gateway, *SMALL)
    page.until(READY)
    weights = np.zeros(52, np.float32)
    weights[INDEX["jawOpen"]] = 0.4
    given = base64.b64encode(content).decode()
    found, seen = page.driver.execute_async_script(
        POSED, given, weights.tolist(), [*rotations, 0, 0, 0, 0, 0, 0], BLENDSHAPES
    )
    picture = Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2]))).convert("RGB").resize((240, 280))
    drawing = Drawing(content, (240, 280))
    try:
        right = drawing.draw(weights, np.array(rotations, np.float32)).astype(float)
    finally:
        drawing.close()
    error = np.mean((np.asarray(picture, float) - right) ** 2)
    assert 10 * np.log10(255**2 / error) > 30
    left, right_, top, bottom = seen
    assert (right_ - left) / (top - bottom) == pytest.approx(240 / 280, rel=0.01)


SPEAKS = """
const [avatar, done] = arguments;
(async () => {
  const { Live } = await import("/static/live.js");
  const live = new Live(() => {});
  live.avatar = avatar;
  const sent = [];
  live.socket = { readyState: WebSocket.OPEN, bufferedAmount: 0, send: (said) => sent.push(said), close() {} };
  live.microphone = { rate: 16000, close() {} };
  live.started = () => {};
  live.take({ type: "started", names: ["jawOpen"], fps: 30 });
  for (const type of ["avatar_selected", "avatar_refused"]) live.take({ type, avatar_id: avatar, message: "" });
  done([sent, live.over ?? false]);
})();
"""


def test_a_live_conversation_names_the_avatar_and_goes_on_whatever_is_answered(page, gateway):
    page.open(gateway)
    sent, over = page.driver.execute_async_script(SPEAKS, "ada")
    assert sent == ['{"type":"avatar_selection","avatar_id":"ada"}']
    assert not over
    sent, _ = page.driver.execute_async_script(SPEAKS, None)
    assert sent == []


AFTER = """
const [minutes, done] = arguments;
(async () => {
  const { Player } = await import("/static/player.js");
  const { LiveClock } = await import("/static/clocks.js");
  const { Track } = await import("/static/track.js");
  const track = new Track(["jawOpen"], 30);
  for (let i = 0; i < minutes * 60 * 30; i++) track.put(i / 30, [i]);
  track.finish();
  const player = new Player();
  player.track = track;
  player.clock = { currentTime: 0, duration: minutes * 60, paused: false, pause() {}, ended: false };
  const worst = { played: 0, live: 0 };
  for (let time = 0; time < minutes * 60 - 0.1; time += 0.0167) {
    player.clock.currentTime = time;
    worst.played = Math.max(worst.played, Math.abs(track.at(player.time).weights[0] - time * 30));
  }
  // Live: frames come in twos, 0.15 to 0.2 s after their sound; the face is as far behind at the end as at first.
  let spoken = 0, came = -1;
  const clock = new LiveClock(() => spoken);
  const lags = [];
  for (let picture = 0; spoken < minutes * 60; picture++) {
    spoken = picture / 60;
    const ready = Math.floor((spoken - 0.15 - 0.05 * Math.abs(Math.sin(picture))) * 15) * 2;
    if (ready > came) clock.came((came = ready) / 30);
    if (came >= 0) lags.push(spoken - clock.time(came / 30));
  }
  const least = Math.min(...lags.slice(60, 660)), most = Math.max(...lags.slice(60, 660));
  const last = lags.slice(-600);
  done({ ...worst, least, most, lastLeast: Math.min(...last), lastMost: Math.max(...last) });
})();
"""


def test_sound_and_mouth_are_together_after_ten_minutes(page, gateway):
    """On a clock of the test's own: nothing adds up."""
    page.open(gateway)
    found = page.driver.execute_async_script(AFTER, 11)
    assert found["played"] < 1e-3, "frames"
    assert found["lastMost"] < found["most"] + 1 / 30
    assert found["lastLeast"] > found["least"] - 1 / 30
    assert found["lastMost"] < 0.5
