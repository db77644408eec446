"""Triton's side of emotalk_ensemble.preprocess: requests to arrays, arrays to responses."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

from emotalk_contract.recipe import QUEUE_SIZE_PARAMETER, Recipe
from emotalk_contract.tensors import AUDIO, PREPROCESS, TICKET
from emotalk_ensemble.admission import Entrance
from emotalk_ensemble.exchange import respond
from emotalk_ensemble.preprocess import preprocess


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        strings = {key: value["string_value"] for key, value in parameters.items()}
        self.recipe = Recipe.from_strings(strings)
        self.entrance = Entrance(int(strings[QUEUE_SIZE_PARAMETER]))

    def execute(self, requests):
        return [respond(pb_utils, request, PREPROCESS, self._compute) for request in requests]

    def _compute(self, inputs, parameters):
        outputs = preprocess(inputs, parameters, self.recipe)
        outputs[TICKET.name] = np.full((len(inputs[AUDIO.name]), 1), self.entrance.admit(), np.int64)
        return outputs
