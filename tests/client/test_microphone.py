"""A microphone: blocks from PortAudio's thread, devices that cannot, that vanish, that are not there."""

import logging
import sys

import numpy as np
import pytest
from fakesound import fake_sounddevice

from emotalk_client.errors import MissingExtra, NoSoundDevice
from emotalk_client.live import microphone as module
from emotalk_client.live.sources import microphone

pytestmark = pytest.mark.unit


@pytest.fixture
def device(monkeypatch):
    """``device(...)`` puts a fake in the place of sounddevice."""

    def put(*script, **how):
        fake = fake_sounddevice(script, **how)
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        return fake

    monkeypatch.setattr(module, "LOOK_S", 0.01)
    return put


def values(blocks):
    return [round(float(block[0, 0]) * 10_000) for block in blocks]


def test_blocks_come_in_order_and_are_the_callers_own(device):
    fake = device(100)
    with microphone(None, 16_000) as blocks:
        heard = [next(blocks) for _ in range(100)]
    assert values(heard) == list(range(1, 101))
    assert {block.shape for block in heard} == {(160, 1)}
    assert all(np.isfinite(block).all() for block in heard)
    assert fake.opened[0].closed


def test_a_loop_over_them_ends_when_its_caller_leaves(device):
    fake = device(10)
    with microphone("mic", 48_000) as blocks:
        for block in blocks:
            assert block.shape == (480, 1)
            break
    assert fake.opened[0].closed


def test_a_device_without_mono_is_heard_in_stereo(device):
    device(2, channels=(2,))
    with microphone(None, 16_000) as blocks:
        assert next(blocks).shape == (160, 2)


def test_without_a_rate_a_device_that_cannot_have_ours_has_its_own(device):
    device(2, rates=(44_100,))
    with microphone(None) as blocks:
        assert blocks.rate == 44_100
        assert next(blocks).shape == (441, 1)


def test_a_rate_that_the_device_cannot_have_is_refused_and_its_own_told(device):
    device(2, rates=(44_100,))
    with (
        pytest.raises(NoSoundDevice, match=r"at 16000 Hz: .*Invalid sample rate.*its own rate is 44100 Hz"),
        microphone(None, 16_000),
    ):
        pass


def test_sound_that_was_lost_is_told_once_and_counted(device, caplog):
    device(2, "overflow", "overflow", 2)
    with caplog.at_level(logging.WARNING), microphone(None, 16_000) as blocks:
        assert values(next(blocks) for _ in range(6)) == [1, 2, 3, 4, 5, 6]
        assert blocks.overflows == 2
    assert [record.getMessage() for record in caplog.records] == [
        "some sound of the default sound device was lost: this machine is too busy, or the server late",
        "sound of the default sound device was lost 2 times",
    ]


def test_a_caller_that_does_not_listen_costs_bounded_memory(device, monkeypatch):
    monkeypatch.setattr(module, "KEPT_S", 0.05)
    fake = device(20)
    with microphone(None, 16_000) as blocks:
        fake.opened[0]._thread.join(10)
        assert values(next(blocks) for _ in range(5)) == [1, 2, 3, 4, 5]
        assert blocks.overflows == 15


@pytest.mark.parametrize(("how", "words"), [("stop", "stopped: it was unplugged"), ("vanish", "no sound came from it")])
def test_a_device_that_vanishes_is_an_error_after_what_was_heard(device, monkeypatch, how, words):
    monkeypatch.setattr(module, "GONE_S", 0.05)
    fake = device(3, how)
    heard = []
    with microphone(None, 16_000) as blocks:
        fake.opened[0]._thread.join()  # it has said all that it says
        with pytest.raises(NoSoundDevice, match=words):
            heard.extend(blocks)
    assert values(heard) == [1, 2, 3]


@pytest.mark.parametrize("how", [{"device": "none such"}, {"start_fails": True}])
def test_a_device_that_does_not_open_or_start_is_said(device, how):
    device(1, start_fails=how.get("start_fails", False))
    with pytest.raises(NoSoundDevice, match="cannot record from"), microphone(how.get("device"), 16_000):
        pass


def test_without_sounddevice_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"emotalk-triton\[microphone\]"), microphone(None, 16_000):
        pass
