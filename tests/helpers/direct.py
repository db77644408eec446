"""Requests to any model, as a caller who keeps to nothing sends them: any name, type, shape and parameter."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import tritonclient.grpc
from tritonclient.grpc import service_pb2

TYPES = {"float32": "FP32", "float64": "FP64", "int32": "INT32", "int64": "INT64"}
HANG_GUARD_S = 60


class Direct:
    """Sends to ``client``'s server without checking anything."""

    def __init__(self, client):
        self._client = client

    def ask(self, model, parameters=None, **inputs):
        """Return the outputs by name; a gRPC error is raised as it is (``code()``, ``details()``)."""
        request = service_pb2.ModelInferRequest(model_name=model)
        for name, array in inputs.items():
            self.add(request, name, TYPES[str(array.dtype)], array.shape, array.tobytes())
        for name, value in (parameters or {}).items():
            kind = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}[type(value)]
            setattr(request.parameters[name], kind, value)
        return self.send(request)

    @staticmethod
    def add(request, name, datatype, shape, content):
        request.inputs.add(name=name, datatype=datatype).shape.extend(shape)
        request.raw_input_contents.append(content)

    def send(self, request):
        answer = self._client._client_stub.ModelInfer(request, timeout=HANG_GUARD_S)
        kinds = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}
        return {
            tensor.name: np.frombuffer(raw, kinds[tensor.datatype]).reshape(list(tensor.shape))
            for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
        }

    def ask_all(self, calls, workers=32):
        """Call all of ``calls`` at once; return what each returned, or the gRPC error that it raised."""

        def tried(call):
            try:
                return call()
            except grpc.RpcError as error:
                return error

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(tried, calls))


@contextmanager
def direct(server):
    """A :class:`Direct` to ``server``."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        yield Direct(client)
