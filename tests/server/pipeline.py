"""The whole chain without Triton: the pure functions around bare ONNX Runtime sessions."""

import json
from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from emotalk_ensemble.backend.session import Instance, Network
from emotalk_ensemble.contract import tensors
from emotalk_ensemble.contract.recipe import Manifest
from emotalk_ensemble.postprocess import postprocess
from emotalk_ensemble.preprocess import preprocess


class NumpyPipeline:
    """What the ensemble computes, in this process."""

    def __init__(self, repository: Path) -> None:
        self.recipe = Manifest.load(repository).recipe
        self.networks = [network(repository, model.name) for model in tensors.GRAPHS]

    def __call__(self, parameters=None, **inputs):
        known = dict(inputs) | preprocess(inputs, parameters or {}, self.recipe)
        for net in self.networks:
            known |= net.run({name: known[name] for name in net.inputs})
        return postprocess(known, parameters or {})


def network(repository: Path, name: str) -> Network:
    """The session that the backend would build from the repository's own config."""
    folder = repository / name
    config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    as_triton = json.loads(json_format.MessageToJson(config, preserving_proto_field_name=True))
    return Network(as_triton, Instance(folder / "1", "CPU", 0))
