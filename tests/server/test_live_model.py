"""The model emotalk_live over gRPC: streams are their whole clips, whatever happens in between."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
import tritonclient.grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException
from waiting import until

from emotalk_client import EmoTalkClient
from emotalk_contract import errors, tensors
from emotalk_contract.limits import MAX_STATE_BYTES, MIN_SAMPLES
from emotalk_contract.live_steps import MAX_STEP_FEATURES, Step, features_in_all
from emotalk_contract.loudness import levelled
from emotalk_contract.recipe import Manifest
from emotalk_contract.repository import bundled
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_count
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

REACH = Manifest.load(bundled()).recipe.steps
EXACT = 1e-5
"""The networks' own differences from one batch to another are 3e-6."""


class Stream:
    """A stream that is spoken in steps; its frames so far."""

    def __init__(self, url, audio, parameters=None, **inputs):
        self.client = tritonclient.grpc.InferenceServerClient(url)
        self.sound = np.concatenate([np.zeros(REACH.lead, np.float32), audio, np.zeros(4000, np.float32)])
        self.samples = len(audio)
        self.parameters = parameters
        self.inputs = inputs
        self.first = 0
        self.state = None
        self.frames = np.zeros((0, 52), np.float32)
        self.seconds = np.zeros(0)

    @property
    def over(self):
        return self.first >= features_in_all(self.samples) or self.first < 0

    def step(self, features):
        """Bring ``features`` more, or what is left."""
        inputs = dict(self.inputs)
        if self.first + features >= REACH.features(self.samples):
            step = Step.last(REACH, self.first, self.samples)
            inputs["CLIP_SAMPLES"] = np.array([[self.samples]], np.int64)
        else:
            step = Step.within(REACH, self.first, features)
        start, length = step.span()
        inputs["AUDIO"] = self.sound[None, start + REACH.lead : start + REACH.lead + length]
        if self.state is not None:
            inputs["STATE"] = self.state
        answer = send(self.client, self.parameters, **inputs)
        self.state = answer["STATE"]
        self.frames = np.concatenate([self.frames, answer["BLENDSHAPES"][0]])
        self.seconds = np.concatenate([self.seconds, answer["TIMECODES"][0]])
        self.first = -1 if "CLIP_SAMPLES" in inputs else self.first + features
        return self

    def all(self, sizes):
        """Step by step until it is over."""
        while not self.over:
            self.step(next(sizes))
        return self


def send(client, parameters=None, **inputs):
    sent = []
    for name, array in inputs.items():
        tensor = tritonclient.grpc.InferInput(name, list(array.shape), tensors.LIVE.tensor(name).datatype)
        tensor.set_data_from_numpy(np.ascontiguousarray(array))
        sent.append(tensor)
    result = client.infer(tensors.LIVE.name, sent, parameters=parameters)
    return {t.name: result.as_numpy(t.name) for t in tensors.LIVE.outputs}


def random_sizes(seed, most=8):
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(1, most + 1))


@pytest.fixture(scope="module")
def url(bundled_server):
    return bundled_server.grpc_url


@pytest.fixture(scope="module")
def sound(speech):
    """Five seconds as the network gets them."""
    return levelled(np.asarray(speech[: 5 * SAMPLE_RATE], np.float32))


def whole(url, sound, **options):
    """Frames of the whole clip; levelled speech is left alone by the levelling."""
    client = tritonclient.grpc.InferenceServerClient(url)
    known = {}
    for name in ("PERSON", "LEVEL"):
        if name in options:
            known[name] = options.pop(name)
    sent = []
    for name, array in {"AUDIO": sound[None], "START_FRAME": np.zeros((1, 1), np.int64), **known}.items():
        tensor = tritonclient.grpc.InferInput(name, list(array.shape), tensors.ENSEMBLE.tensor(name).datatype)
        tensor.set_data_from_numpy(np.ascontiguousarray(array))
        sent.append(tensor)
    result = client.infer(tensors.ENSEMBLE.name, sent, parameters=options or None)
    return result.as_numpy("BLENDSHAPES")[0]


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(1, 30_000), seed=st.integers(0, 1000), most=st.sampled_from([1, 4, 40]))
def test_a_stream_is_its_whole_clip_however_it_is_cut(url, sound, samples, seed, most):
    clip = sound[seed : seed + samples]
    padded = np.pad(clip, (0, max(0, MIN_SAMPLES - samples)))
    stream = Stream(url, clip).all(random_sizes(seed, most))
    expected = whole(url, padded)[: frame_count(samples)]
    np.testing.assert_allclose(stream.frames, expected, rtol=0, atol=EXACT)
    np.testing.assert_array_equal(stream.seconds, np.arange(frame_count(samples)) / FPS)


@pytest.mark.parametrize(
    "options",
    [
        {"raw": True},
        {"smooth": False},
        {"emotions": '{"joy": 0.7}', "gains": '{"jawOpen": 1.5}', "offsets": '{"browInnerUp": 0.2}', "seed": 5},
        {"clamp": False, "blink": False},
        {
            "region": '{"upperFaceStrength": 1.5, "lowerFaceSmoothing": 0.1, "eyelidOpenOffset": 0.2}',
            "emotions": '{"joy": 0.5}',
            "emotion_keys": '[{"time": 1.01, "emotions": {"anger": 1.0}}, {"time": 3, "emotions": {}}]',
            "emotion_transition": 0.4,
            "emotion_strength": 0.9,
        },
    ],
    ids=["raw", "unsmoothed", "face", "unclamped", "regions"],
)
def test_options_mean_what_they_mean_for_a_clip(url, sound, options):
    person = {"PERSON": np.array([[7]], np.int32), "LEVEL": np.array([[0.3]], np.float32)}
    stream = Stream(url, sound, options, **person).all(random_sizes(1))
    np.testing.assert_allclose(stream.frames, whole(url, sound, **options, **person), rtol=0, atol=EXACT)


def test_a_prompt_stream_has_each_frame_sooner_and_nearly_as_it_is(url, sound):
    exact, prompt = Stream(url, sound), Stream(url, sound, {"prompt": True})
    assert len(prompt.step(9).frames) == 2
    exact.step(9)
    for _ in range(20):
        assert len(prompt.step(4).frames) == len(exact.step(4).frames) + 1
    prompt.all(random_sizes(2))
    difference = np.abs(prompt.frames - whole(url, sound))
    assert 1e-4 < difference.max() < 0.04
    assert (difference > 0.01).mean() < 0.002


def test_a_step_may_be_sent_twice(url, sound):
    stream = Stream(url, sound).step(30)
    state, frames = stream.state.copy(), len(stream.frames)
    once = stream.step(10).frames[frames:]
    stream.state, stream.first = state, 30
    np.testing.assert_array_equal(stream.step(10).frames[-len(once) :], once)


def test_another_replica_goes_on_and_a_restarted_one_too(url, sound):
    with EmbeddedServer() as other, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(tritonclient.grpc.InferenceServerClient(u)) for u in (url, other.grpc_url)]
        stream = Stream(url, sound)
        sizes = random_sizes(3)
        restarts = other.supervisor.restarts
        for turn in range(2**30):
            if stream.over:
                break
            if turn == 9:
                other.process.kill()
                until(lambda: other.supervisor.restarts > restarts, "nothing was started again")
                clients[1] = stack.enter_context(tritonclient.grpc.InferenceServerClient(other.grpc_url))
            stream.client = clients[turn % 2]
            stream.step(next(sizes))
    np.testing.assert_allclose(stream.frames, whole(url, sound), rtol=0, atol=EXACT)


def test_streams_that_share_batches_keep_apart(url, sound):
    """All at once: other voices, persons, places and lengths of steps."""
    from concurrent.futures import ThreadPoolExecutor

    def one(number):
        clip = np.roll(sound, 1600 * number)[: 30_000 + 531 * number]
        person = {"PERSON": np.array([[number % 24]], np.int32)}
        stream = Stream(url, clip, {"raw": True}, **person).all(random_sizes(number))
        return np.abs(stream.frames - whole(url, clip, raw=True, **person)).max()

    with ThreadPoolExecutor(24) as pool:
        assert max(pool.map(one, range(24))) <= EXACT


def test_a_stream_that_begins_in_the_middle_is_the_clips_own_after_two_seconds(url, sound):
    first, past = 60, 60
    start = first * SAMPLE_RATE // FPS
    stream = Stream(url, sound[start:])
    stream.inputs["START_FRAME"] = np.array([[first]], np.int64)
    stream.step(50)
    del stream.inputs["START_FRAME"]
    stream.all(random_sizes(4))
    assert stream.seconds[0] == first / FPS
    np.testing.assert_allclose(stream.frames[past:], whole(url, sound)[first + past :], rtol=0, atol=1e-4)


def test_the_state_is_small(url, sound):
    state = Stream(url, sound).step(5).state
    assert state.nbytes <= MAX_STATE_BYTES


def forged(state, offset, layout, number):
    """``state`` with one number of its own changed, and a checksum that fits."""
    content = bytearray(state.tobytes())
    struct.pack_into(layout, content, offset, number)
    struct.pack_into("<I", content, 4, zlib.crc32(content[8:]))
    return np.frombuffer(bytes(content), np.uint8)[None]


STEP = np.zeros((1, REACH.span(0, 5)[1]), np.float32)


@pytest.mark.parametrize(
    ("error", "inputs"),
    [
        (errors.InvalidState, {"AUDIO": STEP, "STATE": np.zeros((1, 1), np.uint8)}),
        (
            errors.InvalidState,
            {"AUDIO": STEP, "STATE": np.random.default_rng(0).integers(0, 256, (1, 63_456), np.uint8)},
        ),
        (errors.InvalidState, {"AUDIO": STEP, "STATE": np.zeros((1, 10**7), np.uint8)}),
        (errors.InvalidShape, {"AUDIO": STEP[:, :-1]}),
        (errors.InvalidShape, {"AUDIO": np.zeros((1, REACH.span(0, MAX_STEP_FEATURES + 1)[1]), np.float32)}),
        (errors.InvalidShape, {"AUDIO": np.zeros((2, STEP.shape[1]), np.float32)}),
        (errors.AudioTooLong, {"AUDIO": np.zeros((1, 10**7), np.float32)}),
        (errors.AudioTooShort, {"AUDIO": np.zeros((1, 10), np.float32)}),
        (errors.AudioNotFinite, {"AUDIO": np.full_like(STEP, np.nan)}),
        (errors.AudioOutOfRange, {"AUDIO": STEP + 1e9}),
        (errors.LevelOutOfRange, {"AUDIO": STEP, "LEVEL": np.array([[2]], np.float32)}),
        (errors.PersonOutOfRange, {"AUDIO": STEP, "PERSON": np.array([[99]], np.int32)}),
        (errors.InvalidWindow, {"AUDIO": STEP, "START_FRAME": np.array([[1]], np.int64)}),
        (errors.InvalidWindow, {"AUDIO": STEP, "CLIP_SAMPLES": np.array([[10**6]], np.int64)}),
        (errors.InvalidWindow, {"AUDIO": STEP, "CLIP_SAMPLES": np.array([[-1]], np.int64)}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_is_wrong_is_said_and_harms_nobody(url, sound, error, inputs):
    stream = Stream(url, sound).step(10)
    with pytest.raises(InferenceServerException) as caught:
        send(stream.client, **inputs)
    assert isinstance(errors.from_message(caught.value.message()), error)
    stream.all(random_sizes(5))
    np.testing.assert_allclose(stream.frames, whole(url, sound), rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("offset", "layout", "number"),
    [(16, "<q", 2**62), (16, "<q", -1), (24, "<q", 10**6), (32, "<q", 2**61), (-4, "<f", float("nan"))],
    ids=["features", "before", "given", "start", "nan"],
)
def test_a_forged_state_is_refused(url, sound, offset, layout, number):
    stream = Stream(url, sound).step(10)
    state = forged(stream.state, offset % stream.state.nbytes, layout, number)
    with pytest.raises(InferenceServerException) as caught:
        send(stream.client, AUDIO=STEP, STATE=state)
    assert isinstance(errors.from_message(caught.value.message()), errors.InvalidState)
    stream.all(random_sizes(6))
    np.testing.assert_allclose(stream.frames, whole(url, sound), rtol=0, atol=EXACT)


def test_numbers_beyond_bounds_are_the_forgers_own(url, sound):
    """They are finite, so the network runs; it gives that stream a face, or the refusal."""
    stream = Stream(url, sound).step(10)
    state = forged(stream.state, stream.state.nbytes - 4, "<f", 3e38)
    with contextlib.suppress(InferenceServerException):
        assert np.isfinite(send(stream.client, AUDIO=STEP, STATE=state)["BLENDSHAPES"]).all()
    stream.all(random_sizes(6))
    np.testing.assert_allclose(stream.frames, whole(url, sound), rtol=0, atol=EXACT)


@pytest.mark.parametrize("parameters", [{"prompt": "yes"}, {"loud": True}, {"seed": -1}])
def test_a_wrong_parameter_is_said(url, sound, parameters):
    with pytest.raises(InferenceServerException) as caught:
        send(tritonclient.grpc.InferenceServerClient(url), parameters, AUDIO=STEP)
    assert isinstance(errors.from_message(caught.value.message()), (errors.InvalidOption, errors.UnknownOption))


def test_the_client_gets_the_same_face_by_steps(url, sound):
    with EmoTalkClient(url) as client, client.live(sample_rate=SAMPLE_RATE) as session:
        frames = [frame for block in np.array_split(sound, 77) for frame in session.push(block)] + session.flush()
    np.testing.assert_allclose([f.weights for f in frames], client_face(url, sound), rtol=0, atol=0.01)


def client_face(url, sound):
    with EmoTalkClient(url) as client:
        return client.animate(sound, sample_rate=SAMPLE_RATE).weights
