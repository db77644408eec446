"""Audio2Face-3D's parameters as options of the face, and the messages of an answer."""

import json
import logging
import math

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.faces.animation import Frame
from emotalk_client.live.settings import LiveSettings
from emotalk_contract.arkit import APPLE_ORDER, INDEX
from emotalk_contract.regions import FACE_PARAMETERS
from emotalk_gateway.grpc.audio2face import answers
from emotalk_gateway.grpc.audio2face.configs import Configs, files
from emotalk_gateway.grpc.audio2face.emotions import AGGREGATE, Emotions, amounts
from emotalk_gateway.grpc.audio2face.parameters import Notices, options_of
from emotalk_gateway.grpc.audio2face.sound import Sound
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service.errors import InvalidMessage
from emotalk_gateway.service.settings import GatewaySettings

pytestmark = pytest.mark.unit

HEADER = message("nvidia_ace.controller.v1.AudioStreamHeader")
KEY = message("nvidia_ace.emotion_with_timecode.v1.EmotionWithTimeCode")
PARTS = {
    "shapes": "blendshape_params",
    "face": "face_params",
    "strengths": "emotion_post_processing_params",
    "emotions": "emotion_params",
}


def options(**parts):
    return options_of(HEADER(**{PARTS[name]: values for name, values in parts.items()}), Notices())


def test_a_header_without_parameters_is_the_face_as_it_is():
    given = LiveSettings(**options()).options()
    assert (given.gains, given.offsets, given.region, given.emotions) == ({}, {}, {}, {})
    assert given.clamp is False
    assert given.emotion_transition == 0.5
    assert given.emotion_strength == pytest.approx(0.6 * 0.5)


def test_shapes_by_their_names():
    given = options(
        shapes={
            "bs_weight_multipliers": {"JawOpen": 0.0, "EyeBlinkLeft": 1.5, "MouthClose": 1e9, "TongueTipUp": 2},
            "bs_weight_offsets": {"BrowInnerUp": -0.25, "HeadRoll": 1, "JawLeft": math.nan},
            "enable_clamping_bs_weight": True,
        }
    )
    assert given["gains"] == {"jawOpen": 0, "eyeBlinkLeft": 1.5, "mouthClose": 1000}
    assert given["offsets"] == {"browInnerUp": -0.25}
    assert given["clamp"] is True
    LiveSettings(**given)


def test_face_parameters_beyond_their_ranges_are_taken():
    said = {"upperFaceStrength": 5, "lipOpenOffset": -0.5, "inputStrength": 1.3, "unheardOf": 1}
    given = options(face={"float_params": said, "integer_params": {"x": 1}, "float_array_params": {"y": {}}})
    assert given["region"] == {"upperFaceStrength": 5, "lipOpenOffset": -0.5, "inputStrength": pytest.approx(1.3)}
    LiveSettings(**given)


@pytest.mark.parametrize(
    ("said", "strength"),
    [
        ({"enable_preferred_emotion": False}, 0),
        ({"preferred_emotion_strength": 1, "emotion_strength": 1}, 1),
        ({"preferred_emotion_strength": 7, "emotion_strength": 0.5}, 0.5),
        ({"preferred_emotion_strength": 0.25}, 0.15),
        ({"emotion_strength": math.nan}, 0.3),
        ({"emotion_contrast": 3, "live_blend_coef": 0, "max_emotions": 6}, 0.3),
    ],
)
def test_the_strength_of_emotions(said, strength):
    assert options(strengths=said)["emotion_strength"] == pytest.approx(strength)


def test_emotions_of_other_names():
    notices = Notices()
    said = {"joy": 2, "anger": -1, "out_of_breath": 0.5, "neutral": 1, "boredom": 1, "fear": math.nan}
    assert amounts(said, notices) == {"joy": 1, "anger": 0, "outofbreath": 0.5}


def test_what_means_nothing_is_logged_once(caplog):
    notices = Notices()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            options_of(HEADER(blendshape_params={"bs_weight_multipliers": {"TongueTipUp": 0, "TongueIn": 0}}), notices)
        for number in range(1000):
            notices.ignored("x", str(number))
    assert {record.message for record in caplog.records[:2]} == {
        "bs_weight_multipliers 'tongueTipUp' means nothing here, and is ignored",
        "bs_weight_multipliers 'tongueIn' means nothing here, and is ignored",
    }
    assert len(caplog.records) == 256


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_whatever_parses_is_taken(content):
    try:
        header = HEADER.FromString(content)
    except Exception:  # noqa: BLE001  # protobuf's own, which gRPC says to its caller
        return
    LiveSettings(**options_of(header, Notices()))


@given(
    st.dictionaries(st.sampled_from(answers.BLENDSHAPES), st.floats(width=32), max_size=5),
    st.dictionaries(st.sampled_from(list(FACE_PARAMETERS)), st.floats(width=32), max_size=5),
)
def test_any_number_is_taken(shapes, face):
    LiveSettings(
        **options(shapes={"bs_weight_multipliers": shapes, "bs_weight_offsets": shapes}, face={"float_params": face})
    )


def test_keys_are_those_that_change_anything():
    emotions = Emotions({}, 0.5, 1.0)
    said = [(0, 0.5), (1, 0.5), (-2, 0.5), (1e300, 0.2), (math.inf, 1), (2, 0.2)]
    keys = emotions.hear([KEY(time_code=time, emotion={"joy": joy}) for time, joy in said], Notices())
    assert [(key["time"], round(key["emotions"]["joy"], 3)) for key in keys] == [
        (0, 0.5),
        (2**40 / 16_000, 0.2),
        (2, 0.2),
    ]


def test_the_caller_is_told_of_emotions_once_and_of_what_is_shown_now_and_then():
    emotions = Emotions({"anger": 0.5}, 0.0, 0.5)
    emotions.hear([KEY(time_code=1.0, emotion={"joy": 1.0})], Notices())
    told = [emotions.told(frame) for frame in range(45)]
    assert [frame for frame, one in enumerate(told) if one is not None] == [0, 10, 20, 30, 40]
    assert [len(told[frame].input_emotions) for frame in (0, 10, 20, 30, 40)] == [1, 0, 0, 0, 0]
    for frame in (0, 30):
        (shown,) = told[frame].a2f_smoothed_output
        assert shown.time_code == frame / 30
        assert len(shown.emotion) == 10
        assert shown.emotion["anger"] == (0.25 if frame == 0 else 0)
        assert shown.emotion["joy"] == (0 if frame == 0 else 0.5)
        assert not told[frame].a2e_output, "clients fail on it"


def test_more_keys_than_are_kept_are_refused():
    emotions = Emotions({}, 0.0, 0.5)
    with pytest.raises(InvalidMessage, match=r"9001 emotions with time codes; accepted: at most 9000"):
        emotions.hear([KEY()] * 9001, Notices())


def test_lists_that_nobody_can_mean_are_refused():
    many = {f"x{number}": 1.0 for number in range(257)}
    with pytest.raises(InvalidMessage, match="bs_weight_offsets has 257 names; accepted: at most 256"):
        options(shapes={"bs_weight_offsets": many})
    with pytest.raises(InvalidMessage, match="257 names"):
        Emotions({}, 0.0, 0.5).hear([KEY(emotion=many)], Notices())


def test_without_emotions_only_the_first_frame_tells_of_them():
    emotions = Emotions({}, 0.5, 0.3)
    assert [frame for frame in range(100) if emotions.told(frame) is not None] == [0]


def test_a_frame_as_a_message():
    weights = np.arange(52, dtype=np.float32) / 52
    made = answers.animation(Frame(7, 7 / 30, weights), b"sound", message(AGGREGATE)())
    out = message(answers.STREAM).FromString(made)
    (row,) = out.animation_data.skel_animation.blend_shape_weights
    assert row.time_code == out.animation_data.audio.time_code == 7 / 30
    assert out.animation_data.audio.audio_buffer == b"sound"
    by_name = dict(zip(answers.BLENDSHAPES, row.values, strict=True))
    assert {name: by_name[name[0].upper() + name[1:]] for name in APPLE_ORDER} == {
        name: pytest.approx(weights[INDEX[name]]) for name in APPLE_ORDER
    }
    (name,) = out.animation_data.metadata
    assert out.animation_data.metadata[name].type_url == f"type.googleapis.com/{AGGREGATE}"


@given(st.integers(16_000, 144_000), st.lists(st.integers(0, 9000), max_size=8), st.integers(1, 5000))
def test_sound_put_together_is_what_was_spoken(rate, sizes, piece):
    sound, said, fed = Sound(rate), np.random.default_rng(0).bytes(sum(sizes)), []
    start, out, frame = 0, b"", 0
    for size in sizes:
        sound.push(said[start : start + size])
        start += size
        while len(block := sound.unfed(piece)):
            fed.append(block)
        while (frame + 1) * rate // 30 <= sound.samples:
            out += sound.of_frame(frame)
            frame += 1
    while frame < sound.frames:
        out += sound.of_frame(frame)
        frame += 1
    whole = len(said) // 2 * 2
    assert b"".join(block.tobytes() for block in fed) == said[:whole]
    assert out[:whole] == said[:whole]
    assert len(out) == sound.frames * rate // 30 * 2
    assert not any(out[whole + 1 :])
    assert sound.frames == math.ceil(len(said) // 2 * 30 / rate)


async def test_the_configuration_as_yaml_and_json():
    class Line:
        def __init__(self):
            self.said = []

        async def write(self, answer):
            self.said.append(answer)

    behind = GatewaySettings(max_streams=3, a2f_pace="realtime")
    asked = message("nvidia_ace.services.a2x_export_config.v1.ConfigsTypeRequest")
    for kind, ending, parse in ((0, "yaml", yaml.safe_load), (1, "json", json.loads)):
        line = Line()
        await Configs(behind).get(asked(config_type=kind), line)
        said = {one.name: parse(one.content) for one in line.said}
        assert said == {f"{name}.{ending}": content for name, content in files(behind).items()}
        assert said[f"deployment_config.{ending}"]["common"]["stream_number"] == 3
        assert said[f"advanced_config.{ending}"]["pipeline_parameters"]["burst_mode"] is False
        assert set(said) == {f"{name}_config.{ending}" for name in ("stylization", "deployment", "advanced")}
