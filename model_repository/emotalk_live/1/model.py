"""Triton's side of emotalk_ensemble.live: requests to arrays, arrays to responses."""

import json

import triton_python_backend_utils as pb_utils

from emotalk_contract.tensors import LIVE
from emotalk_ensemble.backend.session import Instance
from emotalk_ensemble.exchange import guarded, inputs_of, parameters_of, response
from emotalk_ensemble.live_model import load


class TritonPythonModel:
    def initialize(self, args):
        self.steps = load(json.loads(args["model_config"]), Instance.from_arguments(args))

    def execute(self, requests):
        read = [guarded(lambda r=request: self._read(r)) for request in requests]
        return [response(pb_utils, answer) for answer in self.steps.answers(read)]

    def _read(self, request):
        return self.steps.read(inputs_of(pb_utils, request, *REQUIRED_AND_OPTIONAL), parameters_of(request))


REQUIRED_AND_OPTIONAL = [[t.name for t in LIVE.inputs if t.optional is wanted] for wanted in (False, True)]
