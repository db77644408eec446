"""Records of answers as a worker writes them, and messages as a reader sees them."""

import hashlib
import json

import numpy as np

from emotalk_gateway.kafka.assembling import Block, Final


class FakeMessage:
    """What a consumer hands out."""

    def __init__(self, value=b"", headers=None, key=None, topic="frames", partition=0, offset=0):
        self._value, self._headers, self._key = value, headers, key
        self._place = topic, partition, offset

    def value(self):
        return self._value

    def headers(self):
        return (
            None if self._headers is None else [(k, v.encode() if isinstance(v, str) else v) for k, v in self._headers]
        )

    def key(self):
        return self._key

    def topic(self):
        return self._place[0]

    def partition(self):
        return self._place[1]

    def offset(self):
        return self._place[2]


def rows(frames, seed=0):
    return np.random.default_rng(seed).random((frames, 52), np.float32)


def sha256(weights):
    return hashlib.sha256(np.ascontiguousarray(weights, "<f4").tobytes()).hexdigest()


def cut(weights, size, request_id="r", attempt="a", fps=30.0):
    """Blocks of ``size`` frames, and their end."""
    blocks = [
        Block(request_id, attempt, start, fps, weights[start : start + size]) for start in range(0, len(weights), size)
    ]
    return blocks, Final(request_id, attempt, len(weights), len(blocks), fps, sha256(weights))


def block_record(block, answer="float32"):
    """(value, headers) of a block's record."""
    value = block.weights.astype("<f4").tobytes()
    if answer == "json":
        value = json.dumps(block.weights.tolist()).encode()
    return value, {
        "request_id": block.request_id,
        "attempt": block.attempt,
        "first_frame": str(block.first_frame),
        "frames": str(len(block.weights)),
        "fps": f"{block.fps:g}",
        "format": answer,
    }


def final_record(final):
    """Likewise, of an answer's end."""
    said = {"frames": final.frames, "blocks": final.blocks, "fps": final.fps, "sha256": final.sha256}
    value = json.dumps(said | {"duration_s": final.frames / final.fps}).encode()
    return value, {"request_id": final.request_id, "attempt": final.attempt, "final": "true"}
