"""Triton's side of emotalk_ensemble.backend: one instance of any model with ``backend: "onnxruntime"``."""

import json

import triton_python_backend_utils as pb_utils

from emotalk_ensemble.backend.session import Instance, Network


class TritonPythonModel:
    def initialize(self, args):
        self.network = Network(json.loads(args["model_config"]), Instance.from_arguments(args))

    def execute(self, requests):
        batch = [{n: pb_utils.get_input_tensor_by_name(r, n).as_numpy() for n in self.network.inputs} for r in requests]
        return [self._response(result) for result in self.network.run_all(batch)]

    def _response(self, result):
        if isinstance(result, Exception):
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(result)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in result.items()])
