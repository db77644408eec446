"""A ``sounddevice`` without a sound device: its stream calls back from a thread of its own, as PortAudio does."""

import threading
import types

import numpy as np


def fake_sounddevice(script=(), *, rates=None, channels=(1,), own_rate=44_100, start_fails=False):
    """A module to be put into ``sys.modules``.

    Args:
        script: what the device does: a number of blocks to hand over, "overflow" for one with its flag set, "stop" for
            a device that ends, "vanish" for one that stops handing over without a word.
        rates: those that it can have; None: any.
        channels: how many it can have.
    """
    module = types.ModuleType("sounddevice")
    module.opened = []

    class PortAudioError(Exception):
        pass

    class InputStream:
        def __init__(self, *, samplerate, device, channels, dtype, blocksize, callback):
            if device not in (None, 0, "mic"):
                raise ValueError(f"No input device matching {device!r}")
            if channels not in known_channels:
                raise PortAudioError("Error opening InputStream: Invalid number of channels [PaErrorCode -9998]")
            if rates is not None and samplerate not in rates:
                raise PortAudioError("Error opening InputStream: Invalid sample rate [PaErrorCode -9997]")
            assert dtype == "float32"
            self.samplerate, self.channels, self.active, self.closed = samplerate, channels, False, False
            self._callback = callback
            self._memory = np.zeros((blocksize, channels), np.float32)  # PortAudio uses its own again and again
            self._thread = threading.Thread(target=self._work, daemon=True)
            self.gone = False
            module.opened.append(self)

        def __enter__(self):
            if start_fails:
                raise PortAudioError("Error starting stream: Unanticipated host error [PaErrorCode -9999]")
            self.active = True
            self._thread.start()
            return self

        def __exit__(self, *_):
            self._thread.join(10)
            self.active, self.closed = False, True
            if self.gone:
                raise PortAudioError("Error stopping stream: PaErrorCode -9999")

        def _work(self):
            number = 0
            for act in script:
                if act in ("stop", "vanish"):
                    self.active = act == "vanish"
                    self.gone = True
                    return
                for _ in range(1 if act == "overflow" else act):
                    number += 1
                    self._memory[:] = number / 10_000
                    self._callback(self._memory, len(self._memory), None, act == "overflow")
                    self._memory[:] = np.nan

    known_channels = channels
    module.PortAudioError, module.InputStream = PortAudioError, InputStream

    def query_devices(device=None, kind=None):
        assert kind == "input"
        if device not in (None, 0, "mic"):
            raise ValueError(f"No input device matching {device!r}")
        return {"default_samplerate": float(own_rate), "max_input_channels": max(channels)}

    module.query_devices = query_devices
    return module
