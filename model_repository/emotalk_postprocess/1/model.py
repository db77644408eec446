"""Triton's side of emotalk_ensemble.postprocess: requests to arrays, arrays to responses."""

import triton_python_backend_utils as pb_utils

from emotalk_contract.tensors import POSTPROCESS, TICKET
from emotalk_ensemble.admission import Exit
from emotalk_ensemble.exchange import respond
from emotalk_ensemble.postprocess import postprocess


class TritonPythonModel:
    def initialize(self, _args):
        self.exit = Exit()

    def execute(self, requests):
        return [respond(pb_utils, request, POSTPROCESS, self._compute) for request in requests]

    def _compute(self, inputs, parameters):
        self.exit.give_back(int(inputs[TICKET.name][0, 0]))
        return postprocess(inputs, parameters)
