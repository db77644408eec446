"""A server of Triton's gRPC protocol without Triton: real sockets, and an ensemble that does what a test says."""

import asyncio

import grpc
import numpy as np
from fake import PARAMETERS, FakeTransport
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import triton_to_np_dtype

from emotalk_contract import tensors


class _Guard(grpc.aio.ServerInterceptor):
    """Lets in those who show ``token``, as a proxy before Triton does."""

    def __init__(self, token):
        self._wanted = ("authorization", f"Bearer {token}")

    async def intercept_service(self, continuation, details):
        if self._wanted in [tuple(pair) for pair in details.invocation_metadata]:
            return await continuation(details)

        async def refuse(_, context):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

        return grpc.unary_unary_rpc_method_handler(refuse)


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Used with ``async with``; answers with :class:`FakeTransport`'s faces while ``answers`` is set, lives while
    ``lives`` is.
    """

    def __init__(self, version="2.51.0", credentials=None, token=None):
        self.version, self.credentials, self.token = version, credentials, token
        self.answers, self.lives, self.asked = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.answers.set()
        self.lives.set()
        self.received = self.cancelled = self.asked_live = 0
        self.left = asyncio.Event()

    async def __aenter__(self):
        guards = [_Guard(self.token)] if self.token else []
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)], interceptors=guards)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        if self.credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", self.credentials)
        self.url = f"127.0.0.1:{self.port}"
        await self._server.start()
        return self

    async def __aexit__(self, *_):
        self.answers.set()
        self.lives.set()
        await self._server.stop(0)

    async def ModelInfer(self, request, context):  # noqa: ARG002, N802  # the protocol's
        self.received += 1
        self.asked.set()
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            self.left.set()
            raise
        inputs = {}
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            inputs[tensor.name] = np.frombuffer(raw, triton_to_np_dtype(tensor.datatype)).reshape(tensor.shape)
        answer = service_pb2.ModelInferResponse(model_name=tensors.ENSEMBLE.name)
        for name, array in (await FakeTransport().infer(inputs, {}, 1.0)).items():
            datatype = next(t.datatype for t in tensors.ENSEMBLE.outputs if t.name == name)
            answer.outputs.add(name=name, datatype=datatype, shape=array.shape)
            answer.raw_output_contents.append(array.tobytes())
        return answer

    async def ModelConfig(self, request, context):  # noqa: ARG002, N802
        answer = service_pb2.ModelConfigResponse()
        for name, value in PARAMETERS.items():
            answer.config.parameters[name].string_value = value
        return answer

    async def ServerMetadata(self, request, context):  # noqa: ARG002, N802
        return service_pb2.ServerMetadataResponse(name="triton", version=self.version)

    async def ServerReady(self, request, context):  # noqa: ARG002, N802
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelReady(self, request, context):  # noqa: ARG002, N802
        return service_pb2.ModelReadyResponse(ready=True)

    async def ServerLive(self, request, context):  # noqa: ARG002, N802
        self.asked_live += 1
        await self.lives.wait()
        return service_pb2.ServerLiveResponse(live=True)


class DarkProxy:
    """A TCP proxy that can stop forwarding without a word: what a network does when a cable is pulled."""

    def __init__(self, port):
        self._to = port
        self.dark = False
        self._writers = []
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self._writers:
            writer.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, there_writer]
        state = {"dark": False}
        self.states = [*getattr(self, "states", []), state]
        for one, other in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.ensure_future(self._forward(one, other, state))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader, writer, state):
        while data := await reader.read(65_536):
            if not state["dark"]:
                writer.write(data)
                await writer.drain()
        if not state["dark"]:
            writer.close()

    def pull_the_cable(self):
        """What goes through connections that there are is lost from now on; new ones work."""
        for state in self.states:
            state["dark"] = True
