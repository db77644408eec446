"""The face models as the client asks them: batches, what is checked of an answer, and what a missing model says."""

import asyncio

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from emotalk_avatar.models import FaceModels
from emotalk_client.errors import ModelMissing, ServerBusy, UnexpectedResponse
from emotalk_contract import avatar
from emotalk_contract.configs import HEADER
from emotalk_contract.limits import MAX_BATCH, QUEUE_SIZE
from emotalk_contract.repository import avatar_repository

pytestmark = pytest.mark.unit


class Client:
    """Answers with the mean of each item in every value of every output."""

    def __init__(self, spoil=lambda name, values: values):
        self.sizes, self.spoil = [], spoil

    async def infer(self, model, inputs):
        (items,) = inputs.values()
        self.sizes.append(len(items))
        await asyncio.sleep(0)
        means = items.reshape(len(items), -1).mean(axis=1)
        return {
            tensor.name: self.spoil(
                tensor.name,
                np.broadcast_to(means.reshape(-1, *[1] * len(tensor.axes)), (len(items), *tensor.axes)).astype(
                    np.float32
                ),
            )
            for tensor in model.outputs
        }


def images(count, side):
    return np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones((side, side, 3), np.float32)


@pytest.mark.parametrize("count", [0, 1, MAX_BATCH, MAX_BATCH + 1, 3 * MAX_BATCH])
async def test_as_many_batches_are_asked_as_it_takes_and_answers_keep_their_order(count):
    client = Client()
    landmarks, presences = await FaceModels(client).landmarks(images(count, avatar.LANDMARKS_SIDE))
    assert landmarks.shape == (count, 478, 3)
    assert landmarks[:, 0, 0].tolist() == list(range(count))
    assert presences == pytest.approx(1 / (1 + np.exp(-np.arange(count))))
    assert max(client.sizes, default=0) <= MAX_BATCH
    assert sum(client.sizes) == count


async def test_scores_are_probabilities_however_large_a_logit_is():
    spoil = {"SCORES": lambda values: values * 1e4 - 5e3}
    client = Client(lambda name, values: spoil.get(name, lambda same: same)(values))
    boxes, scores = await FaceModels(client).detect(images(2, avatar.DETECTOR_SIDE))
    assert boxes.shape == (2, avatar.ANCHORS, avatar.BOX_VALUES)
    assert scores.shape == (2, avatar.ANCHORS)
    assert scores[:, 0].tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda name, values: values[:, :-1], r"EXPRESSION has shape \[1, 51\]; expected \[1, 52\]"),
        (lambda name, values: values * np.nan, "EXPRESSION has NaN or infinity in it"),
    ],
)
async def test_an_answer_that_cannot_be_is_refused(spoil, says):
    with pytest.raises(UnexpectedResponse, match=says):
        await FaceModels(Client(spoil)).expressions(np.ones((1, avatar.EXPRESSION_POINTS, 2), np.float32))


@pytest.mark.parametrize(("error", "hint"), [(ModelMissing("none"), True), (ServerBusy("full"), False)])
async def test_only_a_missing_model_says_how_a_server_with_it_is_started(error, hint):
    class Failing:
        async def infer(self, *_):
            raise error

    with pytest.raises(type(error)) as raised:
        await FaceModels(Failing()).detect(images(1, avatar.DETECTOR_SIDE))
    assert ("--models core,live,avatar" in str(raised.value)) == hint


@pytest.mark.parametrize("model", avatar.MODELS, ids=lambda model: model.name)
def test_a_config_is_what_the_contract_generates(model):
    text = (avatar_repository() / model.name / "config.pbtxt").read_text("utf-8")
    assert text == HEADER + avatar.config(model)
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.max_batch_size == MAX_BATCH
    assert config.dynamic_batching.default_queue_policy.max_queue_size == QUEUE_SIZE  # nothing else bounds it
    (warm_up,) = config.model_warmup
    assert set(warm_up.inputs) == {tensor.name for tensor in model.inputs}
