"""Recordings as browsers, phones and other programs make them, of samples that a test knows. Needs PyAV."""

import io

import numpy as np


def recorded(
    samples: np.ndarray,
    rate: int,
    container: str,
    codec: str,
    *,
    to_rate: int | None = None,
    seekable: bool = True,
    options: dict[str, str] | None = None,
    bit_rate: int | None = 96_000,
    lost_s: tuple[float, float] | None = None,
) -> bytes:
    """``samples`` [n] or [n, channels] at ``rate`` in ``container`` (a muxer of FFmpeg), coded by ``codec``.

    Args:
        to_rate: Hertz of the recording, if not ``rate``.
        seekable: whether the writer may go back to fill in lengths; a browser's MediaRecorder does not.
        options: the muxer's.
        lost_s: packets between these times are not written.
    """
    import av

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        seek = None  # type: ignore[assignment]

    samples = samples[:, None] if samples.ndim == 1 else samples
    file = io.BytesIO() if seekable else Pipe()
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(file, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=to_rate or rate, layout=layout)
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.astype(np.float32)), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        frame.pts = 0
        packets = [*stream.encode(frame), *stream.encode(None)]
        for packet in packets:
            at = float(packet.pts * packet.time_base) if packet.pts is not None else 0.0
            if lost_s is None or not lost_s[0] <= at < lost_s[1]:
                out.mux(packet)
    return file.getvalue()
