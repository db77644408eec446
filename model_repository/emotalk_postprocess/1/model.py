"""Triton's side of emotalk_ensemble.postprocess: requests to arrays, arrays to responses."""

import json

import triton_python_backend_utils as pb_utils

from emotalk_contract.errors import InvalidRequest
from emotalk_contract.tensors import POSTPROCESS, TICKET
from emotalk_ensemble.admission import Admission
from emotalk_ensemble.postprocess import postprocess


class TritonPythonModel:
    def initialize(self, _args):
        self.admission = Admission.of_this_server()

    def execute(self, requests):
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        given = {t.name: pb_utils.get_input_tensor_by_name(request, t.name) for t in POSTPROCESS.inputs}
        inputs = {name: tensor.as_numpy() for name, tensor in given.items() if tensor is not None}
        self.admission.leave(int(inputs[TICKET.name][0, 0]))
        try:
            outputs = postprocess(inputs, json.loads(request.parameters()))
        except InvalidRequest as error:
            invalid = pb_utils.TritonError(error.tagged(), pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=invalid)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
