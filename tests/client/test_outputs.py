"""Live outputs: real UDP packets, decoded by others than their encoders."""

import socket
import struct
import time
import uuid

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from emotalk_client.errors import InvalidAddress, MissingExtra, OutputFailed
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.outputs import Address, LiveLinkOutput, Paced, VmcOutput, livelink, vmc
from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.unit

APPLES = {
    0: "eyeBlinkLeft",
    7: "eyeBlinkRight",
    15: "jawLeft",
    16: "jawRight",
    17: "jawOpen",
    18: "mouthClose",
    21: "mouthLeft",
    22: "mouthRight",
    23: "mouthSmileLeft",
    35: "mouthPressLeft",
    51: "tongueOut",
}
"""Some places of Apple's order, as its documentation lists them."""


def frame(index=7, seed=0):
    return Frame(index, index / 30, np.random.default_rng(seed).uniform(0, 1, 52).astype(np.float32))


@pytest.fixture
def listener():
    """A UDP socket; ``listener()`` is the next datagram, ``listener.address`` where it listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(60)

        def receive():
            return bound.recv(65_536)

        receive.address = Address("127.0.0.1", bound.getsockname()[1])
        yield receive


def decoded(packet):
    """A Live Link Face packet, by its documented layout and Apple's documented order of ARKit's blendshapes."""
    place = 0

    def take(layout):
        nonlocal place
        values = struct.unpack_from(f">{layout}", packet, place)
        place += struct.calcsize(f">{layout}")
        return values

    (version,) = take("B")
    (length,) = take("i")
    (device,) = take(f"{length}s")
    (length,) = take("i")
    (name,) = take(f"{length}s")
    number, part, numerator, denominator, count = take("ifiiB")
    values = take(f"{count}f")
    assert place == len(packet)
    return version, device.decode(), name.decode(), number, part, (numerator, denominator), values


def test_live_link_packets_arrive_and_say_what_they_should(listener):
    output = LiveLinkOutput(listener.address, subject="Zoë")
    sent = frame(1234)
    output.send(sent)
    output.close()
    version, device, name, number, part, rate, values = decoded(listener())
    assert (version, name, number, part, rate, len(values)) == (6, "Zoë", 1234, 0.0, (30, 1), 61)
    assert str(uuid.UUID(device)).upper() == device
    named = dict(zip(BLENDSHAPES, sent.weights, strict=True))
    for place, blendshape in APPLES.items():
        assert values[place] == named[blendshape], blendshape
    assert sorted(values[:52]) == sorted(sent.weights)
    assert values[52:] == (0.0,) * 9


def test_a_subject_keeps_its_device_and_two_have_two():
    devices = [decoded(livelink.encode(frame(), subject))[1] for subject in ("a", "a", "b")]
    assert devices[0] == devices[1] != devices[2]


@pytest.mark.parametrize(
    ("fps", "rate"), [(60, (60, 1)), (24, (24, 1)), (29.97, (30_000, 1001)), (23.976, (24_000, 1001))]
)
def test_live_link_says_the_rate_as_a_fraction(fps, rate):
    numerator, denominator = decoded(livelink.encode(frame(), fps=fps))[5]
    assert numerator / denominator == pytest.approx(rate[0] / rate[1], rel=1e-6)
    assert (numerator, denominator) == rate


def test_vmc_turns_the_head_in_unitys_axes():
    """Left-handed, x to the person's right: a turn to the person's left is one to their left there too."""
    rotations = np.array([0.3, 0.2, 0.1, 0, 0, 0, 0, 0, 0], np.float32)
    bones = {}
    for message in OscBundle(vmc.encode(Frame(0, 0.0, np.zeros(52, np.float32), rotations=rotations))):
        if message.address == "/VMC/Ext/Bone/Pos":
            bones[message.params[0]] = message.params[1:]
    assert list(bones) == ["Head", "LeftEye", "RightEye"]
    assert bones["LeftEye"] == [0, 0, 0, 0, 0, 0, 1]
    x, y, z, w = bones["Head"][3:]
    front = np.array([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)])  # of the vector z, in Unity
    expected = [-np.sin(0.3) * np.cos(0.2), -np.sin(0.2), np.cos(0.3) * np.cos(0.2)]  # left is -x, and down is -y
    np.testing.assert_allclose(front, expected, atol=1e-6)


def test_vmc_bundles_arrive_and_are_osc_for_python_oscs_own_parser(listener):
    output = VmcOutput(listener.address)
    sent = frame()
    output.send(sent)
    output.close()
    packet = listener()
    assert OscBundle.dgram_is_bundle(packet)
    messages = [(message.address, message.params) for message in OscBundle(packet)]
    assert len(messages) == 53
    assert messages[-1] == ("/VMC/Ext/Blend/Apply", [])
    assert {address for address, _ in messages[:-1]} == {"/VMC/Ext/Blend/Val"}
    values = dict(params for _, params in messages[:-1])
    for name, weight in zip(BLENDSHAPES, sent.weights, strict=True):
        assert values[name[0].upper() + name[1:]] == weight


def test_the_default_ports_are_the_protocols():
    assert (livelink.DEFAULT_PORT, vmc.DEFAULT_PORT) == (11_111, 39_539)


def test_without_python_osc_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pythonosc", None)
    with pytest.raises(MissingExtra, match=r"emotalk-triton\[vmc\]"):
        VmcOutput(Address("127.0.0.1", 1))


# Addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "again"),
    [
        ("localhost", ("localhost", 11_111), "localhost:11111"),
        ("192.168.0.7:5000", ("192.168.0.7", 5000), "192.168.0.7:5000"),
        (" studio-pc.local:1 ", ("studio-pc.local", 1), "studio-pc.local:1"),
        ("[::1]", ("::1", 11_111), "[::1]:11111"),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65_535), "[fe80::1%eth0]:65535"),
    ],
)
def test_an_address_is_a_host_and_maybe_a_port(text, expected, again):
    address = Address.parse(text, 11_111)
    assert (address.host, address.port) == expected
    assert str(address) == again


@pytest.mark.parametrize(
    "text", ["", ":5000", "host:", "host:0", "host:65536", "host:-1", "host:abc", "::1", "udp://host", "a b"]
)
def test_an_address_that_is_none_says_what_is_accepted(text):
    with pytest.raises(InvalidAddress, match=r"the address is '.*'; accepted: HOST or HOST:PORT, .*1\.\.65535"):
        Address.parse(text, 11_111)


@pytest.mark.parametrize("output", [LiveLinkOutput, VmcOutput])
def test_a_host_that_is_not_there_is_said_at_once(output):
    with pytest.raises(InvalidAddress, match=r"'no\.such\.host\.invalid' cannot be found"):
        output(Address("no.such.host.invalid", 11_111))


@pytest.mark.parametrize("output", [LiveLinkOutput, VmcOutput])
def test_nobody_has_to_listen_and_a_closed_output_says_so(output):
    sender = output(Address("127.0.0.1", 9))
    for index in range(3):
        sender.send(frame(index))
    sender.close()
    sender.close()
    with pytest.raises(OutputFailed, match=r"cannot send to 127\.0\.0\.1:9: "):
        sender.send(frame())


# The clock -------------------------------------------------------------------------------------


class Recorder:
    """An output that notes when each frame came, on a clock that only sleeping and ``spend`` move."""

    def __init__(self):
        self.now = 100.0
        self.sent = []
        self.closed = False

    def clock(self):
        return self.now

    def spend(self, seconds):
        self.now += seconds

    def send(self, sent):
        self.sent.append((sent.index, round(self.now - 100.0, 6)))

    def close(self):
        self.closed = True


def paced(fps=30.0):
    recorder = Recorder()
    return recorder, Paced(recorder, fps, clock=recorder.clock, sleep=recorder.spend)


def test_frames_leave_at_their_times_however_early_they_come():
    recorder, output = paced(25.0)
    for index in range(4):
        output.send(frame(index))
    assert recorder.sent == [(0, 0.0), (1, 0.04), (2, 0.08), (3, 0.12)]
    output.close()
    assert recorder.closed


def test_late_frames_leave_at_once_and_the_clock_does_not_drift():
    recorder, output = paced(25.0)
    output.send(frame(0))
    recorder.spend(0.1)  # frames 1 and 2 are late by then
    for index in (1, 2, 3, 4):
        output.send(frame(index))
    assert recorder.sent == [(0, 0.0), (1, 0.1), (2, 0.1), (3, 0.12), (4, 0.16)]


def test_the_first_frame_sets_the_clock_whatever_its_number():
    recorder, output = paced(25.0)
    for index in (1000, 1001, 1003):
        output.send(frame(index))
    assert recorder.sent == [(1000, 0.0), (1001, 0.04), (1003, 0.12)]


def test_on_the_real_clock_packets_come_at_their_rate(listener):
    output = Paced(LiveLinkOutput(listener.address), 100.0)
    began = time.monotonic()
    for index in range(21):
        output.send(frame(index))
    took = time.monotonic() - began
    output.close()
    assert [decoded(listener())[3] for _ in range(21)] == list(range(21))
    assert took >= 0.2
