"""`emotalk-perf uploads`: damage is drawn by a seed, and whatever is neither read nor refused in words is told."""

import http.server
import io
import json
import random
import threading
import zlib
from collections import Counter

import pytest
from PIL import Image
from typer.testing import CliRunner

from emotalk_perf.cli import app
from emotalk_perf.uploads import drawn, report
from emotalk_perf.uploads import run as damage
from emotalk_perf.uploads.door import Door
from emotalk_perf.uploads.mutations import DAMAGES, checksummed, damaged

pytestmark = pytest.mark.unit

WHOLE = drawn.pictures()


def test_whole_uploads_are_read():
    for name, data in WHOLE.items():
        assert damage._decoded(data, moving=False) == damage.READ, name
    for name, data in drawn.clips().items():
        assert damage._decoded(data, moving=True) == damage.READ, name


def test_a_seed_gives_the_same_damage_and_another_gives_another():
    first, again, other = (list(damage._uploads(40, seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    whole = [*WHOLE.values(), *drawn.clips().values()]
    assert sum(upload.data not in whole for upload in first) > 35


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.__name__)
def test_any_damage_bears_an_empty_upload(harm):
    for seed in range(20):
        assert isinstance(harm(bytearray(), b"", random.Random(seed)), bytearray)
    assert damaged(b"", b"", random.Random(1)) is not None


def test_checksums_are_made_right_again():
    data = bytearray(WHOLE["png"])
    at = data.index(b"IDAT") + 4
    length = int.from_bytes(data[at - 8 : at - 4], "big")
    pixels = bytearray(zlib.decompress(data[at : at + length]))
    pixels[1] ^= 255
    data[at : at + length] = zlib.compress(pixels, 9).ljust(length, b"\0")[:length]
    with pytest.raises(SyntaxError, match="broken PNG file"), Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(checksummed(data))) as image:
        image.verify()


def test_photographs_are_damaged_beside_the_drawings(tmp_path):
    path = tmp_path / "me.png"
    Image.new("RGB", (2000, 1000), (200, 160, 140)).save(path)
    names = {upload.name for upload in damage._uploads(40, 0, [path])}
    assert {"me.png, JPEG", "me.png, PNG", "me.png, WEBP"} < names
    said = CliRunner().invoke(app, ["uploads", "--count", "1", str(tmp_path / "none.jpg")])
    assert said.exit_code != 0
    assert isinstance(said.exception, drawn.InvalidPhotograph)


def test_what_is_not_a_refusal_is_wrong(monkeypatch):
    def dies(data):
        raise IndexError("out of range")

    monkeypatch.setattr(damage, "decode", dies)
    outcome = damage.run(3, 0, None, lambda line: None)
    assert [line.split(": ", 1)[1] for line in outcome.wrong] == ["IndexError: out of range"] * 3
    assert report.broken(outcome)[:3] == outcome.wrong


def test_limits_are_held():
    outcome = damage.Outcome({"png": Counter(read=2, refused=1)}, [], 11.0, "upload 1", 400_000_000)
    assert report.broken(outcome) == [
        "upload 1 took 11.0 s; accepted: 10 s",
        "a process took 400 MB; accepted: 300 MB",
    ]
    text = report.markdown(outcome)
    assert "| png | 3 | 2 | 1 |" in text
    assert "3 uploads, 0 answered wrongly; upload 1 took the longest, 11.0 s; the largest process took 400 MB." in text


def test_the_command_decodes_and_tells():
    said = CliRunner().invoke(app, ["uploads", "--count", "16", "--seed", "5"])
    assert said.exit_code == 0, said.output
    assert "16 uploads, 0 answered wrongly" in said.output


@pytest.fixture
def gateway():
    """A door that registers what begins as a JPEG, and refuses the rest with a status that a test may set."""

    class Handler(http.server.BaseHTTPRequestHandler):
        status, body, deleted = 422, {"message": "no face"}, []

        def do_POST(self):
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            if b"\r\n\r\n\xff\xd8" in sent:
                self._say(201, {"id": "abc"})
            else:
                self._say(Handler.status, Handler.body)

        def do_DELETE(self):
            Handler.deleted.append(self.path)
            self._say(200, {})

        def do_GET(self):
            self._say(200, {})

        def _say(self, status, body):
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Handler
        server.shutdown()
        thread.join()


def test_through_a_door_what_is_registered_is_deleted(gateway):
    url, handler = gateway
    door = Door(url)
    assert door.asked(WHOLE["jpeg"]) == "201"
    assert handler.deleted == ["/avatar/abc"]
    assert door.asked(WHOLE["png"]) == "422"
    assert door.health() is None


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [(500, {"message": "x"}, "500"), (422, {}, "422 without a message"), (503, {"message": "x"}, "503")],
)
def test_through_a_door_other_answers_are_wrong(gateway, status, body, says):
    url, handler = gateway
    handler.status, handler.body = status, body
    outcome = damage.run(16, 0, url, lambda line: None)
    assert any(line.endswith(f": {says}") for line in outcome.wrong)


def test_a_gateway_that_went_away_is_told(gateway):
    url, _ = gateway
    port = url.rsplit(":", 1)[1]
    gone = Door(f"http://127.0.0.2:{port}")
    assert "refused" in str(gone.health())
