"""Triton's side of emotalk_ensemble.preprocess: requests to arrays, arrays to responses."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

from emotalk_contract.errors import InvalidRequest
from emotalk_contract.recipe import QUEUE_SIZE_PARAMETER, Recipe
from emotalk_contract.tensors import AUDIO, PREPROCESS, TICKET
from emotalk_ensemble.admission import Admission, EnsembleFull
from emotalk_ensemble.preprocess import preprocess


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        strings = {key: value["string_value"] for key, value in parameters.items()}
        self.recipe = Recipe.from_strings(strings)
        self.admission = Admission.of_this_server()
        self.admission.open_door(int(strings[QUEUE_SIZE_PARAMETER]))

    def execute(self, requests):
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        given = {t.name: pb_utils.get_input_tensor_by_name(request, t.name) for t in PREPROCESS.inputs}
        inputs = {name: tensor.as_numpy() for name, tensor in given.items() if tensor is not None}
        try:
            outputs = preprocess(inputs, json.loads(request.parameters()), self.recipe)
            outputs[TICKET.name] = np.full((len(inputs[AUDIO.name]), 1), self.admission.enter(), np.int64)
        except InvalidRequest as error:
            return _refused(error.tagged(), pb_utils.TritonError.INVALID_ARG)
        except EnsembleFull as error:
            return _refused(str(error), pb_utils.TritonError.UNAVAILABLE)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])


def _refused(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
