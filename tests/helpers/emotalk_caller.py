"""Run with stubs of emotalk.proto on its path: asks as the Python clients of the EmoTalk service do, in both ways.

Arguments: address, sound, where the answers go as JSON.
"""

import json
import sys
from pathlib import Path

import emotalk_pb2
import emotalk_pb2_grpc
import grpc

MIB = 2**20


def asked(path, **more):
    fields = {"emotion_level": 1, "person_id": 0, "post_processing": True, "chunk_duration": 25.0, "chunk_overlap": 0.5}
    return emotalk_pb2.AudioRequest(audio_data=Path(path).read_bytes(), **(fields | more))


def results(stub, request):
    """What both clients make of a call: the whole list, or an error with the service's words."""
    found = []
    for response in stub.ProcessAudio(request):
        if response.error_message:
            raise RuntimeError(response.error_message)
        frames = [
            {"timecode": frame.timecode, "frame_number": frame.frame_number, "blendshapes": list(frame.blendshapes)}
            for frame in response.frames
        ]
        found.append(
            {
                "request_id": response.request_id,
                "chunk_index": response.chunk_index,
                "is_final": response.is_final,
                "frames": frames,
            }
        )
        if response.is_final:
            break
    return found


def main():
    address, sound, answer = sys.argv[1:]
    options = [("grpc.max_send_message_length", 100 * MIB), ("grpc.max_receive_message_length", 100 * MIB)]
    options += [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 5_000)]
    with grpc.insecure_channel(address, options=options) as channel:
        stub = emotalk_pb2_grpc.EmoTalkServiceStub(channel)
        health = stub.HealthCheck(emotalk_pb2.HealthCheckRequest(service="emotalk"), timeout=5)
        said = {"healthy": health.status == emotalk_pb2.HealthCheckResponse.SERVING}
        said["whole"] = results(stub, asked(sound, request_id="one"))
        said["chunks"] = results(stub, asked(sound, chunk_duration=2.0))
        said["raw"] = results(stub, asked(sound, post_processing=False))
        first = next(iter(stub.ProcessAudio(asked(sound, chunk_duration=1.0))))
        said["first"] = len(first.frames)
        try:
            results(stub, asked(__file__))
        except RuntimeError as error:
            said["error"] = str(error)
    Path(answer).write_text(json.dumps(said))


if __name__ == "__main__":
    main()
