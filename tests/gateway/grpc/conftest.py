"""A gateway with the door for Audio2Face-3D's clients, and what they say."""

import numpy as np
import pytest
import soxr
from a2fcallers import nvidia

from emotalk_gateway.grpc.audio2face.door import audio2face_door


def doors(service):
    return [audio2face_door(service, "127.0.0.1", 0)]


@pytest.fixture(scope="module")
def faces_to(gateway_to):
    """``with faces_to(max_streams=1) as gateway``: one with the door, whose address is ``gateway.target``."""
    nvidia()

    def running(**settings):
        return gateway_to(doors=doors, **settings)

    return running


@pytest.fixture(scope="module")
def faces(faces_to):
    with faces_to() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def pcm(voice):
    """``pcm(seconds, rate)`` of the sample voice, int16."""

    def made(seconds, rate=16_000):
        sound = voice if rate == 16_000 else soxr.resample(voice, 16_000, rate)
        return (np.resize(sound, round(seconds * rate)) * 32_767).astype("<i2")

    return made
