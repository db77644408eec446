"""Between Triton's requests and functions: one caller's mistake is that caller's alone."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from emotalk_contract.errors import InvalidOption, InvalidShape, PersonOutOfRange
from emotalk_contract.tensors import PREPROCESS
from emotalk_ensemble.admission import EnsembleFull
from emotalk_ensemble.exchange import Refusal, guarded, inputs_of, parameters_of, respond, response

pytestmark = pytest.mark.unit


@dataclass
class Request:
    arrays: dict = field(default_factory=dict)
    text: Any = "{}"

    def parameters(self):
        if isinstance(self.text, Exception):
            raise self.text
        return self.text


class Tensor:
    def __init__(self, name, array):
        if array is None:
            raise RuntimeError("no memory for it")
        self.name, self.array = name, array

    def as_numpy(self):
        return self.array


@dataclass
class TritonError:
    message: str
    code: str
    INVALID_ARG = "invalid"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass
class Response:
    tensors: list = field(default_factory=list)
    error: TritonError | None = None


class Fake:
    """Triton's ``triton_python_backend_utils``, as far as it is used."""

    Tensor, TritonError, InferenceResponse = Tensor, TritonError, Response

    @staticmethod
    def get_input_tensor_by_name(request, name):
        return Tensor(name, request.arrays[name]) if name in request.arrays else None


AUDIO = {"AUDIO": np.zeros((1, 800), np.float32)}


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (PersonOutOfRange("PERSON is 99"), "INVALID_ARG", "[PersonOutOfRange] PERSON is 99"),
        (EnsembleFull("Exceeds maximum queue size"), "UNAVAILABLE", "Exceeds maximum queue size"),
        (RecursionError("too deep"), "INTERNAL", "[InternalError] RecursionError: too deep"),
        (MemoryError(), "INTERNAL", "[InternalError] MemoryError: "),
        (KeyError("x" * 10_000), "INTERNAL", f"[InternalError] KeyError: '{'x' * 499}... (10002 characters)"),
    ],
)
def test_whatever_a_request_raises_is_its_own_error(raised, code, message):
    def compute():
        raise raised

    assert guarded(compute) == Refusal(message, code)


def test_an_unexpected_error_is_logged_with_its_traceback(caplog):
    guarded(lambda: {"a": [][0]})
    (record,) = caplog.records
    assert record.exc_info is not None


def test_tensors_go_in_and_out_by_name():
    def compute(inputs, parameters):
        assert list(inputs) == ["AUDIO"]
        return {"DOUBLE": 2 * inputs["AUDIO"], "SEED": np.array(parameters["seed"])}

    made = respond(Fake, Request({"AUDIO": np.ones((1, 3))}, '{"seed": 4}'), PREPROCESS, compute)
    assert made.error is None
    assert {t.name: t.array.tolist() for t in made.tensors} == {"DOUBLE": [[2, 2, 2]], "SEED": 4}


def test_a_mistake_is_the_response_of_that_request():
    made = respond(Fake, Request(AUDIO, "[" * 100_000), PREPROCESS, lambda *_: {})
    assert made.error.code == TritonError.INVALID_ARG
    assert made.error.message.startswith("[InvalidOption] the request's parameters")


def test_a_response_that_cannot_be_made_is_an_error():
    made = response(Fake, {"OUT": None})
    assert made.error.code == TritonError.INTERNAL
    assert "no memory for it" in made.error.message


def test_a_missing_tensor_and_one_without_items_are_named():
    with pytest.raises(InvalidShape, match="AUDIO is missing; accepted: AUDIO"):
        inputs_of(Fake, Request(), ["AUDIO"], ["LEVEL"])
    for empty in (np.zeros((0, 800)), np.array(1.0)):
        with pytest.raises(InvalidShape, match=r"AUDIO has shape \[.*; accepted: a batch of at least one item"):
            inputs_of(Fake, Request({"AUDIO": empty}), ["AUDIO"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "null",
        "{" * 100_000,
        '{"seed": ' + "9" * 6000 + "}",
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_parameters_that_cannot_be_read_have_their_own_error(text):
    with pytest.raises(InvalidOption, match="the request's parameters") as caught:
        parameters_of(Request(text=text))
    assert len(str(caught.value)) < 300
    assert "accepted" in str(caught.value)


def test_parameters_that_can_be_read_are_read():
    assert parameters_of(Request(text=json.dumps({"seed": 1}))) == {"seed": 1}
