"""Triton's side of emotalk_ensemble.backend: one instance of any model with ``backend: "onnxruntime"``."""

import json

import triton_python_backend_utils as pb_utils

from emotalk_ensemble.admission import Computing
from emotalk_ensemble.backend.session import Instance, Network
from emotalk_ensemble.exchange import Refusal, guarded, inputs_of, response


class TritonPythonModel:
    def initialize(self, args):
        self.network = Network(json.loads(args["model_config"]), Instance.from_arguments(args))
        self.computing = Computing(args["model_name"])

    def execute(self, requests):
        with self.computing.told(len(requests)):
            given = [guarded(lambda r=request: self._inputs(r)) for request in requests]
            results = iter(self.network.run_all([inputs for inputs in given if not isinstance(inputs, Refusal)]))
        return [response(pb_utils, g if isinstance(g, Refusal) else next(results)) for g in given]

    def _inputs(self, request):
        return self.network.checked(inputs_of(pb_utils, request, self.network.inputs))
