"""A gRPC caller that vanishes in mid-request: ``python -m emotalk_perf.hostile.vanishing HOST:PORT SECONDS``."""

from __future__ import annotations

import os
import sys
import time

import numpy as np

SECONDS, REQUESTS = 10, 6


def main() -> None:
    """Send requests, and be gone before an answer."""
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(sys.argv[1])
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (1, SECONDS * 16000)).astype(np.float32)
    tensor = triton.InferInput("AUDIO", list(audio.shape), "FP32")
    tensor.set_data_from_numpy(audio)
    for _ in range(REQUESTS):
        client.async_infer("emotalk", [tensor], lambda result, error: None)  # noqa: ARG005
    time.sleep(float(sys.argv[2]))
    os._exit(0)


if __name__ == "__main__":
    main()
