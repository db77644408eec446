"""Triton's side of emotalk_ensemble.preprocess: requests to arrays, arrays to responses."""

import json

import triton_python_backend_utils as pb_utils

from emotalk_ensemble.contract.errors import InvalidRequest
from emotalk_ensemble.contract.recipe import Recipe
from emotalk_ensemble.contract.tensors import PREPROCESS
from emotalk_ensemble.preprocess import preprocess


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.recipe = Recipe.from_strings({k: v["string_value"] for k, v in config["parameters"].items()})

    def execute(self, requests):
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        given = {t.name: pb_utils.get_input_tensor_by_name(request, t.name) for t in PREPROCESS.inputs}
        inputs = {name: tensor.as_numpy() for name, tensor in given.items() if tensor is not None}
        try:
            outputs = preprocess(inputs, json.loads(request.parameters()), self.recipe)
        except InvalidRequest as error:
            invalid = pb_utils.TritonError(error.tagged(), pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=invalid)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
