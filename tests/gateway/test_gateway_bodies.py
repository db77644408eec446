"""What callers send, in parts: forms, base64, frames, spools; each fed at its worst places."""

import base64
import io
import json
import tempfile
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_gateway.http.multipart import MultipartParser, Part, Piece, boundary_of
from emotalk_gateway.http.uploads import MAX_FIELD_BYTES, Base64Decoder, Fields
from emotalk_gateway.service import spool as spools
from emotalk_gateway.service.errors import ClipTooLong, GatewayFull, InvalidFrames, InvalidUpload
from emotalk_gateway.service.frames import PIECE, parsed
from emotalk_gateway.service.spool import IN_MEMORY, Budget, Spool

pytestmark = pytest.mark.unit

FORM = (
    b"a preamble\r\n--edge  \r\n"
    b'Content-Disposition: form-data; name="level"\r\n\r\n0.5\r\n--edge\r\n'
    b'content-disposition: form-data; name="file"\r\nContent-Type: audio/wav\r\n\r\n'
    b"\x00\xff\r\n--edg\r\n-\r\r\n\r\n--edge\r\n"
    b"Content-Disposition: form-data; name=\"other\"; filename*=UTF-8''x\r\n\r\n\r\n--edge--\r\nan epilogue"
)
PARTS = [
    (Part("level", False), b"0.5"),
    (Part("file", False), b"\x00\xff\r\n--edg\r\n-\r\r\n"),
    (Part("other", True), b""),
]


def read(pieces):
    parser, found = MultipartParser(b"edge"), []
    for piece in pieces:
        for item in parser.push(piece):
            if isinstance(item, Piece):
                found[-1][1] += item.data
            else:
                found.append([item, b""])
    parser.finish()
    return [tuple(one) for one in found]


@pytest.mark.parametrize("cut", range(len(FORM) + 1))
def test_a_form_is_the_same_wherever_it_is_cut(cut):
    assert read([FORM[:cut], FORM[cut:]]) == PARTS


def test_a_form_byte_by_byte():
    assert read(FORM[n : n + 1] for n in range(len(FORM))) == PARTS


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no end"),
        (b"--edge\r\n", "no end"),
        (b"--edge\r\n\r\ndata\r\n--edge--", "no name"),
        (b"--edge\r\nContent-Disposition: form-data\r\n\r\n\r\n--edge--", "no name"),
        (b"--edge\r\nX: " + b"a" * 20_000, "16384 bytes of headers"),
        (b"--edge" + b" " * 300, "a boundary is followed by something else"),
        (b"--edge xx\r\n", "a boundary is followed by something else"),
    ],
)
def test_a_form_that_is_not_one(body, words):
    with pytest.raises(InvalidUpload, match=words):
        read([body])


def test_a_boundary_must_be_named():
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 300):
        with pytest.raises(InvalidUpload, match="boundary"):
            boundary_of(kind)


def test_fields_are_few_short_and_in_utf_8():
    def fields(*parts):
        found = Fields("file")
        for part, data in parts:
            found.begin(part)
            if not found.in_file:
                found.add(data)
        return found.checked()

    file = (Part("file", False), b"")
    assert fields((Part("level", False), b"0.5"), file) == {"level": "0.5"}
    for parts, words in (
        ([], "no part 'file'; it has none"),
        ([(Part("audio", True), bytes(10**7))], "it has audio"),
        ([file, (Part("audio", True), b"")], "2 files, in file, audio"),
        ([file, (Part("x", False), bytes(MAX_FIELD_BYTES + 1))], f"more than {MAX_FIELD_BYTES} bytes"),
        ([file, (Part("x", False), b"\xff")], "accepted: UTF-8"),
        ([file, (Part("emotions", False), b"[" * 10_000)], "nests more than 100 deep"),
        ([(Part(f"f{n}", False), b"") for n in range(40)], "more than 32 parts"),
    ):
        with pytest.raises(InvalidUpload, match=words):
            fields(*parts)


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=50), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_base64_is_the_same_wherever_it_is_cut(raw, cuts):
    text = base64.encodebytes(raw)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    decoder = Base64Decoder()
    out = b"".join(decoder.push(text[start:end]) for start, end in pairwise(edges))
    decoder.finish()
    assert out == raw


def frames_of(document):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parsed(io.BytesIO(text), 900)


def test_frames_are_read_over_the_edges_of_pieces():
    rows = np.random.default_rng(7).uniform(0, 1, (700, 52)).astype(np.float32)
    text = json.dumps({"note": {"deep": [1, [2]]}, "blendshapes": rows.tolist(), "timecode": 1.5, "fps": 60})
    assert len(text) > 8 * PIECE
    for spaces in (text, text.replace("]", " \n] ").replace(",", " ,\t")):
        found = frames_of(spaces.encode())
        np.testing.assert_array_equal(found.weights, rows)
        assert (found.fps, found.timecodes[0], found.timecodes[1]) == (60, 1.5, 1.5 + 1 / 60)


class Counted(io.BytesIO):
    """A file that knows how much of it was read."""

    taken = 0

    def read(self, size=-1):
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize("row", [b"0,", b"[0],", b"[[0],", b'["",', b"{},"])
def test_what_is_not_frames_is_not_read_to_its_end(row):
    file = Counted(b'{"blendshapes": [' + row * (2 * 10**6 // len(row)))
    with pytest.raises(InvalidFrames):
        parsed(file, 900)
    assert file.taken <= 2 * PIECE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "it ends"),
        (b'{"blendshapes": []}', "shape"),
        (b'{"fps": 30}', "no list of blendshapes"),
        (b'{"blendshapes": [[0', "not rows"),
        (b'{"fps": ' + b"[" * 10**5, "4096 bytes|Recursion"),
        (b'{"fps": NaN}', "NaN"),
        (b'{"fps": 30, "fps": 30}', "twice"),
        (b"{1: 2}", "a key is 1|Expecting"),
        (b'{"blendshapes": [[' + b",".join([b"0"] * 52) + b"]]} x", "goes on"),
        (b'{"blendshapes": [[' + b",".join([b"0"] * 51) + b",01]]}", "JSON"),
    ],
)
def test_frames_that_are_not_json(text, words):
    with pytest.raises(InvalidFrames, match=words):
        frames_of(text)


def test_more_frames_than_allowed_are_not_all_parsed():
    row = b"[" + b",".join([b"0"] * 52) + b"],"
    file = Counted(b'{"fps": 1, "blendshapes": [' + row * 20_000)
    with pytest.raises(ClipTooLong, match="900 s"):
        parsed(file, 900)
    assert file.taken < 5 * PIECE


def test_bodies_share_one_bound():
    budget = Budget(IN_MEMORY, 3 * IN_MEMORY)
    with Spool(budget) as first, Spool(budget) as second:
        first.write(bytes(IN_MEMORY))
        assert first.in_memory
        second.write(b"one byte more than there is memory for")
        assert not second.in_memory
        with pytest.raises(GatewayFull, match="accepted: 3145728 at once"):
            second.write(bytes(2 * IN_MEMORY))
        first.write(b"!")  # too long for memory now
        assert not first.in_memory
        with Spool(budget) as third:
            third.write(b"there is memory again")
            assert third.in_memory
            third.file.seek(0)
            assert third.file.read() == b"there is memory again"
        first.file.seek(0)
        assert first.file.read() == bytes(IN_MEMORY) + b"!"
    assert budget.held == 0


def test_a_full_disk_is_said(monkeypatch):
    def no_room():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    budget = Budget(0, 10)
    with pytest.raises(spools.UnwritableFile, match="No space left"), Spool(budget) as spool:
        spool.write(b"x")
    assert budget.held == 0
