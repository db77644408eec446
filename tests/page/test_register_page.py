"""The registration page: a photograph chosen, dropped or taken; refused in words, shown, kept or discarded."""

import io
import re
from pathlib import Path

import av
import numpy as np
import pytest
from avatar_faces import face, picture
from browsing import SMALL, Page, served
from PIL import Image
from registering_parts import Parts, photograph

import headless
from emotalk_avatar import registering
from emotalk_avatar.errors import NoFace, PoorPicture
from emotalk_avatar.fitting import fit
from emotalk_avatar.quality import verdicts
from emotalk_avatar.store import AvatarStore
from emotalk_gateway.page.register import BOUNDS
from emotalk_gateway.page.viewer import STATIC

pytestmark = pytest.mark.browser

NOBODY = "127.0.0.1:1"
"""No face server: what sees faces here are stand-ins."""


@pytest.fixture
def parts(monkeypatch):
    found = Parts(monkeypatch)
    yield found
    found.go_on()


@pytest.fixture
def store(tmp_path):
    return AvatarStore(tmp_path / "avatars")


@pytest.fixture
def url(parts, store):
    with served(NOBODY, avatars=store.folder) as gateway:
        yield gateway


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "me.jpg"
    path.write_bytes(photograph(240, 320))
    return path


def opened(page, url, query="?lang=en", **screen):
    page.open(f"{url}/register{query}", **screen)
    page.origin = url
    page.until("'begun' in document.documentElement.dataset")
    return page


def state(page):
    return page.run("return document.documentElement.dataset.state")


def filled(page, photo, name="Ada"):
    page.find("#file").send_keys(str(photo))
    page.until("emotalk.shown().state === 'chosen'")
    page.type("#name", name)
    page.press("#consent")
    page.press("#register")


def is_shown(page):
    page.until("['shown'].includes(emotalk.shown().state)")


def test_a_chosen_photograph_is_kept(page, url, photo, store, parts):
    parts.warnings = ("closed mouth, please",)
    opened(page, url)
    filled(page, photo)
    is_shown(page)
    assert "closed mouth, please" in page.find("#warnings").text
    assert page.run("return document.activeElement.closest('section').id") == "decide"
    (avatar,) = store.list().avatars
    assert (avatar.metadata.name, avatar.metadata.consent) == ("Ada", True)
    page.press("#keep")
    assert page.find("#live").get_attribute("href") == f"{url}/?avatar={avatar.id}"
    page.run("location.reload()")
    page.until("'begun' in document.documentElement.dataset")
    assert [one.id for one in store.list().avatars] == [avatar.id]


def test_glasses_are_told(page, url, photo, parts, monkeypatch):
    told = []
    monkeypatch.setattr(registering, "fit", lambda *_, glasses=False: told.append(glasses) or parts)
    opened(page, url)
    page.press("#glasses")
    filled(page, photo)
    is_shown(page)
    assert told == [True]


def test_a_discarded_one_is_gone(page, url, photo, store):
    opened(page, url)
    filled(page, photo)
    is_shown(page)
    page.press("#discard")
    page.until("emotalk.shown().state === 'chosen'")
    assert store.list().avatars == ()
    assert "Nothing of it was kept" in page.find("#status").text
    page.press("#register")  # the same picture again
    is_shown(page)
    assert len(store.list().avatars) == 1


def test_one_that_was_not_confirmed_goes_with_the_page(page, url, photo, store):
    opened(page, url)
    filled(page, photo)
    is_shown(page)
    assert len(store.list().avatars) == 1
    page.driver.get(f"{url}/head.glb?")
    page.driver.get(f"{url}/register")
    page.until("'begun' in document.documentElement.dataset")
    page.driver.execute_async_script(
        """
        const done = arguments[0];
        const look = async () => {
          const { avatars } = await (await fetch("avatar/list")).json();
          if (avatars.length) setTimeout(look, 20); else done();
        };
        look();
        """
    )
    assert store.list().avatars == ()


def test_the_camera(page, url, store):
    opened(page, url)
    page.press("#shoot")
    page.until("emotalk.shown().state === 'camera' && document.querySelector('#camera').videoWidth > 0")
    assert page.find("#shoot").text == "Take the picture"
    page.press("#shoot")
    page.until("emotalk.shown().state === 'chosen'")
    assert page.run("return document.querySelector('#camera').srcObject") is None
    page.type("#name", "Ada")
    page.press("#consent")
    page.press("#register")
    is_shown(page)
    (avatar,) = store.list().avatars
    assert avatar.metadata.width >= 320


def test_a_dropped_photograph(page, url, photo):
    opened(page, url)
    page.run(
        """
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(arguments[0])], "me.jpg", { type: "image/jpeg" }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        """,
        list(photo.read_bytes()),
    )
    page.until("emotalk.shown().state === 'chosen'")
    shown = page.picture("#chosen")
    assert shown.std() > 20, "the picture is not seen"


def test_a_chosen_clip_shows_its_first_picture(page, url, tmp_path):
    path = tmp_path / "me.webm"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(5):
            pixels = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        file.mux(stream.encode(None))
    opened(page, url)
    page.find("#file").send_keys(str(path))
    page.until("emotalk.shown().state === 'chosen'")
    assert page.run("const { width, height } = document.querySelector('#chosen'); return [width, height]") == [160, 120]
    assert page.picture("#chosen").std() > 10


def test_what_is_missing_is_said(page, url, photo, store):
    opened(page, url)
    page.press("#register")
    assert "Choose a photograph" in page.find("#problem").text
    page.find("#file").send_keys(str(photo))
    page.until("emotalk.shown().state === 'chosen'")
    page.press("#register")
    assert "name" in page.find("#problem").text
    page.type("#name", "Ada")
    page.press("#register")
    assert "consent" in page.find("#problem").text
    assert page.run("return document.activeElement.id") == "consent"
    assert store.list().avatars == ()


def test_a_refused_picture_says_why(page, url, photo, parts):
    page.expected.append("422")
    parts.refusal = NoFace("no face is seen; accepted: one from the front")
    opened(page, url)
    filled(page, photo)
    page.until("document.querySelector('#problem').textContent")
    assert "no face is seen" in page.find("#problem").text.lower()
    assert state(page) == "chosen"
    parts.refusal = None
    page.press("#register")
    is_shown(page)
    assert page.find("#problem").text == ""


def test_what_is_not_a_picture_is_not_sent(page, url, tmp_path, parts):
    path = tmp_path / "me.jpg"
    path.write_bytes(b"no picture")
    opened(page, url)
    page.find("#file").send_keys(str(path))
    page.until("document.querySelector('#problem').textContent")
    assert "cannot be shown" in page.find("#problem").text
    assert parts.seen == 0


def test_a_gateway_without_avatars_says_so(page, parts):
    with served(NOBODY) as url:
        page.open(f"{url}/register?lang=en")
        page.origin = url
        page.until("document.querySelector('#problem').textContent")
        assert "--avatars" in page.find("#problem").text
        assert page.find("#shoot").get_attribute("disabled")


def test_a_token_is_asked_for(page, parts, photo, store):
    page.expected.append("401")
    with served(NOBODY, avatars=store.folder, token="right") as url:
        opened(page, url)
        page.type("#token", "wrong")
        page.press("#access button")
        filled(page, photo)
        page.until("!document.querySelector('#access').hidden")
        assert "wrong" in page.find("#problem").text
        page.run("document.querySelector('#token').value = ''")
        page.type("#token", "right")
        page.press("#access button")
        page.press("#register")
        is_shown(page)
        page.press("#keep")
        page.run("sessionStorage.clear()")


# --- languages ---


def test_in_persian_from_right_to_left(page, url, photo, parts):
    page.expected.append("422")
    parts.refusal = NoFace("no face is seen; accepted: one from the front")
    opened(page, url, "?lang=fa")
    assert page.run("return [document.documentElement.lang, document.documentElement.dir]") == ["fa", "rtl"]
    form, watch = (page.find(selector).rect["x"] for selector in ("aside", "#watch"))
    assert form < watch, "the form is not on the left"
    assert page.find("#register").text == "چهره را بساز"
    filled(page, photo, "سارا")
    page.until("document.querySelector('#problem').textContent")
    said = page.find("#problem").text
    assert "چهره‌ای در عکس دیده نشد" in said
    assert "no face is seen" in said
    parts.refusal = None
    page.press("#register")
    is_shown(page)
    assert page.find("#keep").text == "نگه دار"
    page.press("#discard")
    page.until("emotalk.shown().state === 'chosen'")


def measures(**changed):
    """Of a good picture, but for what is ``changed``."""
    good = {
        "presence": 1.0,
        "interocular_px": 120.0,
        "yaw_deg": 0.0,
        "pitch_deg": 0.0,
        "roll_deg": 0.0,
        "inside": 1.0,
        "sharpness": 200.0,
        "contrast": 40.0,
        "eye_light": 150.0,
        "clipped": 0.0,
        "light_ratio": 1.0,
        "lip_gap": 0.0,
        "smile": 0.1,
        "blink": 0.1,
    }
    return good | changed


BAD = [
    {},
    {"presence": 0.5},
    {"interocular_px": 60.0},
    {"interocular_px": 20.0},
    {"yaw_deg": -15.0},
    {"yaw_deg": 40.0},
    {"pitch_deg": 20.0},
    {"roll_deg": -30.0},
    {"inside": 0.95},
    {"sharpness": 20.0},
    {"contrast": 10.0},
    {"eye_light": 40.0},
    {"contrast": 10.0, "eye_light": 40.0},
    {"clipped": 0.2},
    {"light_ratio": 2.0},
    {"light_ratio": 0.5},
    {"blink": 0.7},
    {"lip_gap": 0.2},
    {"smile": 0.9},
    {"smile": 0.9, "lip_gap": 0.2, "yaw_deg": 15.0},
]


def test_the_page_judges_as_the_judge_does(page, url):
    """Its hints in another language are those that the server has in its own."""
    opened(page, url)
    said = page.driver.execute_async_script(
        """
        const [all, done] = arguments;
        const { good } = JSON.parse(document.querySelector("meta[name=emotalk]").content);
        import(new URL("static/hints.js", document.baseURI)).then(({ poor }) =>
          done(all.map((one) => poor(one, good))));
        """,
        [measures(**one) for one in BAD],
    )
    for bad, hints in zip(BAD, said, strict=True):
        refusals, warnings = verdicts(measures(**bad))
        assert len(hints) == len(refusals + warnings), bad
        names = {"dark" if name in ("contrast", "eye_light") else name for name in bad}
        assert set(hints) <= names


def test_hints_in_persian(page, url, photo, parts):
    page.expected.append("422")
    parts.refusal = PoorPicture("the head is turned aside by 40°", measures(yaw_deg=40.0))
    opened(page, url, "?lang=fa")
    filled(page, photo)
    page.until("document.querySelector('#warnings').textContent")
    assert "سر به پهلو چرخیده است" in page.find("#warnings").text


def test_the_other_language_is_one_click_away(page, url):
    opened(page, url, "?lang=fa")
    page.press("#language")
    page.until("document.documentElement.lang === 'en' && 'begun' in document.documentElement.dataset")
    assert page.find("#title").text == "A photograph becomes a face that speaks"


def test_every_language_has_every_text(page, url):
    opened(page, url)
    keys = page.driver.execute_async_script(
        """
        const done = arguments[0];
        import(new URL("static/register.texts.js", document.baseURI)).then(({ TEXTS }) =>
          done(Object.values(TEXTS).map((texts) => Object.keys(texts).sort())));
        """
    )
    assert len(keys) == 2
    assert keys[0] == keys[1]
    hints = re.findall(r"^      (\w+):", (STATIC / "register.texts.js").read_text("utf-8"), re.MULTILINE)
    assert set(BOUNDS) <= set(hints)
    html = (STATIC / "register.html").read_text("utf-8")
    assert set(re.findall(r'data-(?:text|label)="(\w+)"', html)) <= set(keys[0])


@pytest.mark.parametrize("language", ["en", "fa"])
def test_nobody_is_kept_out(page, url, axe, photo, language):
    opened(page, url, f"?lang={language}")
    for step in ("empty", "chosen", "shown", "kept"):
        if step == "chosen":
            page.find("#file").send_keys(str(photo))
        elif step == "shown":
            page.type("#name", "Ada")
            page.press("#consent")
            page.press("#register")
        elif step == "kept":
            page.press("#keep")
        page.until(f"emotalk.shown().state === '{step}'")
        page.run(axe)
        found = page.driver.execute_async_script("axe.run().then(({ violations }) => arguments[0](violations))")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], step


@pytest.mark.parametrize("size", [(360, 640), (900, 620), (1600, 900)])
@pytest.mark.parametrize("language", ["en", "fa"])
def test_it_fits_the_screen(page, url, size, language):
    opened(page, url, f"?lang={language}", width=size[0], height=size[1])
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    button = page.find("#register").rect
    assert 0 <= button["x"] <= button["x"] + button["width"] <= size[0]


def test_the_preview_is_seen(page, url, photo, store):
    opened(page, url)
    filled(page, photo)
    is_shown(page)
    (avatar,) = store.list().avatars
    there = np.asarray(Image.open(io.BytesIO(store.read(avatar, "preview.jpg"))), np.float64)
    assert there.std() > 10
    assert page.picture("#stage").std() > 10
    assert Path(store.folder, avatar.id).is_dir()


def test_the_viewer_leads_here(page, url):
    page.open(url)
    page.until("'begun' in document.documentElement.dataset")
    page.press("#to-register")
    page.until("document.querySelector('#form') && 'begun' in document.documentElement.dataset")


@pytest.fixture(scope="module")
def browser_3d():
    if reason := headless.missing():
        pytest.skip(reason)
    with headless.chromium() as driver:
        yield driver


def test_the_preview_moves(browser_3d, url, photo, parts, monkeypatch):
    """Drawn in WebGL from avatar.glb: the mouth opens, and at the end the face is at rest again."""
    fitted = fit(picture(), face())
    monkeypatch.setattr(parts, "glb", fitted.glb)
    page = opened(Page(browser_3d), url, width=SMALL[0], height=SMALL[1])
    filled(page, photo)
    is_shown(page)
    assert not page.find("#still").is_displayed()
    page.until("emotalk.shown().jawOpen === 0 && emotalk.shown().time >= 1.99")
    rest = page.picture("#face").astype(float)
    assert rest.std() > 10, "nothing is seen"
    page.press("#again")
    page.until("emotalk.shown().jawOpen > 0.3")
    page.until("emotalk.shown().time >= 1.99")
    page.run("emotalk.hold(0.6)")
    page.until("emotalk.shown().jawOpen > 0.55")
    opened_mouth = page.picture("#face").astype(float)
    assert (abs(opened_mouth - rest).max(axis=2) > 40).sum() > 200, "the mouth does not open"
    page.press("#keep")
    page.check()
