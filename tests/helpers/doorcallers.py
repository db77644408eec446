"""Callers of every door of a gateway, each with a token, and the tokens that they show."""

import http.client
import json
from contextlib import suppress

import grpc
from asking import CHUNKS, RATE, STREAM
from waiting import HANG_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from emotalk_gateway.grpc.audio2face.door import audio2face_door
from emotalk_gateway.grpc.emotalk.door import emotalk_door
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.omniverse.door import OmniverseDoor
from emotalk_gateway.service.callers import SCOPES, Caller, Limits
from emotalk_gateway.service.tokens import Token, digest, save

CONVERT, SAY, SPEECH = "/api/v1/convert?format=csv", "/api/v1/say", "/v1/audio/speech"
CONFIGS = "/nvidia_ace.services.a2x_export_config.v1.A2XExportConfigService/GetConfigs"
FACES = "/nvidia_ace.services.a2f_controller.v1.A2FControllerService/ProcessAudioStream"
EMOTALK = "/emotalk.EmoTalkService/"


class Known:
    """Callers of a gateway, whose tokens are their names in capitals."""

    def __init__(self, folder):
        self.file = folder / "tokens.json"
        self.all = {}

    def add(self, name, *scopes, **limits):
        self.all[name] = Token(Caller(name, frozenset(scopes or SCOPES), Limits(**limits)), digest(name.upper()))
        save(self.file, self.all.values())

    def remove(self, name):
        del self.all[name]
        save(self.file, self.all.values())


def all_doors(folder):
    """The doors beside HTTP's, in the order in which the callers below look for them."""

    def opened(service):
        return [
            audio2face_door(service, "127.0.0.1", 0),
            emotalk_door(service, "127.0.0.1", 0),
            OmniverseDoor(service, 0, folder),
        ]

    return opened


def shown(name):
    return {} if name is None else {"Authorization": f"Bearer {name.upper()}"}


def socket_code(gateway, name):
    """The close code of a stream that ends at once, and its error."""
    with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream") as socket:
        socket.send(json.dumps({"type": "start", "sample_rate": RATE, **({"token": name.upper()} if name else {})}))
        socket.send('{"type": "end"}')
        last = said_last(socket)
        return socket.close_code, last.get("error")


def said_last(socket):
    """The last message before the close."""
    last = {}
    with suppress(ConnectionClosed):
        while True:
            last = json.loads(socket.recv(HANG_S))
    return last


def call(gateway, door, route, request, answer, name=None, messages=None):
    """The code of a call and its words."""
    metadata = [("authorization", f"Bearer {name.upper()}")] if name else []
    with grpc.insecure_channel(f"127.0.0.1:{gateway.doors[door].port}") as channel:
        write = type(request).SerializeToString
        try:
            if messages is not None:
                method = channel.stream_stream(route, write, message(answer).FromString)
                list(method(iter([request, *messages]), metadata=metadata, timeout=HANG_S))
            else:
                list(channel.unary_stream(route, write, message(answer).FromString)(request, HANG_S, metadata))
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return "OK", ""


def a2f(gateway, name, seconds=1):
    sound = message("nvidia_ace.controller.v1.AudioStream")
    header = sound(
        audio_stream_header={"audio_header": {"samples_per_second": RATE, "bits_per_sample": 16, "channel_count": 1}}
    )
    blocks = [sound(audio_with_emotion={"audio_buffer": bytes(2 * RATE)}) for _ in range(seconds)]
    answer = "nvidia_ace.controller.v1.AnimationDataStream"
    return call(gateway, 0, FACES, header, answer, name, [*blocks, sound(end_of_audio={})])


def configs(gateway, name):
    asked = message("nvidia_ace.services.a2x_export_config.v1.ConfigsTypeRequest")
    return call(gateway, 0, CONFIGS, asked(), "nvidia_ace.services.a2x_export_config.v1.A2XConfig", name)[0]


def emotalk(gateway, name, audio):
    asked = message("emotalk.AudioRequest")
    return call(gateway, 1, f"{EMOTALK}ProcessAudio", asked(audio_data=audio), "emotalk.BlendshapeResponse", name)[0]


def omniverse(gateway, name):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.doors[2].port, timeout=HANG_S)
    connection.request("GET", "/A2F/GetInstances", headers=shown(name))
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def statuses(gateway, name, audio):
    """What each door says to one who shows the token of ``name``."""
    return {
        "stream": gateway.post(STREAM, audio, shown(name)).status,
        "chunks": gateway.post(CHUNKS, audio, shown(name), part="audio_file").status,
        "convert": gateway.ask("POST", CONVERT, json.dumps({"blendshapes": [[0] * 52]}).encode(), shown(name)).status,
        "say": gateway.ask("POST", SAY, b"{}", shown(name)).status,
        "speech": gateway.ask("POST", SPEECH, b"{}", shown(name)).status,
        "metrics": gateway.get("/metrics", **shown(name)).status,
        "socket": socket_code(gateway, name),
        "a2f": a2f(gateway, name)[0],
        "configs": configs(gateway, name),
        "emotalk": emotalk(gateway, name, audio),
        "omniverse": omniverse(gateway, name),
    }
