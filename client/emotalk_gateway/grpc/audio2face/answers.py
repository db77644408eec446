"""The messages of an answer: header, frames, event, status."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from emotalk_client.faces.animation import Frame
from emotalk_contract.arkit import APPLE_ORDER, columns
from emotalk_gateway.grpc.messages import message

STREAM = "nvidia_ace.controller.v1.AnimationDataStream"

BLENDSHAPES = tuple(name[0].upper() + name[1:] for name in APPLE_ORDER)
"""The 52 names as Audio2Face-3D spells them, in its order, which some clients go by."""
COLUMNS = np.array(columns(APPLE_ORDER))


def header(rate: int) -> Any:
    """Return what comes first: the form of the sound that goes back, and the names."""
    out = message(STREAM)()
    begins = out.animation_data_stream_header
    begins.audio_header.channel_count = 1
    begins.audio_header.samples_per_second = rate
    begins.audio_header.bits_per_sample = 16
    begins.skel_animation_header.blend_shapes.extend(BLENDSHAPES)
    begins.start_time_code_since_epoch = time.time()
    return out


def animation(frame: Frame, sound: bytes, emotions: Any = None) -> bytes:
    """Return one frame with exactly its own ``sound``: clients take the time from how much of it came.

    Args:
        emotions: an EmotionAggregate that goes with it.
    """
    out = message(STREAM)()
    data = out.animation_data
    weights = data.skel_animation.blend_shape_weights.add()
    weights.time_code = frame.timecode
    weights.values.extend(frame.weights.take(COLUMNS).tolist())
    data.audio.time_code = frame.timecode
    data.audio.audio_buffer = sound
    if emotions is not None:
        packed = data.metadata["emotion_aggregate"]
        packed.type_url = f"type.googleapis.com/{emotions.DESCRIPTOR.full_name}"
        packed.value = emotions.SerializeToString()
    made: bytes = out.SerializeToString()
    return made


def computed() -> Any:
    """Return the event that says that all frames are there."""
    kind = message(STREAM)
    out = kind()
    out.event.event_type = 0
    out.event.SetInParent()
    return out


def status(text: str = "", failed: bool = False) -> Any:
    """Return what comes last."""
    out = message(STREAM)()
    out.status.code = out.status.ERROR if failed else out.status.SUCCESS
    out.status.message = text
    out.status.SetInParent()
    return out
