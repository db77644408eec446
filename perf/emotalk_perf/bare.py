"""The whole chain without Triton: the ensemble's pure functions around bare ONNX Runtime sessions, in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import SHARE_PARAMETER, Manifest
from emotalk_contract.repository import VERSION
from emotalk_ensemble.backend.session import Instance, Network
from emotalk_ensemble.postprocess import postprocess
from emotalk_ensemble.preprocess import preprocess

Arrays = dict[str, NDArray[Any]]


class BareEnsemble:
    """The computations of the ensemble in the folder ``repository``."""

    def __init__(self, repository: Path) -> None:
        self._recipe = Manifest.load(repository).recipe
        self._networks = [network(repository, model.name) for model in pipeline(self._recipe).graphs]

    def __call__(self, parameters: Mapping[str, Any] | None = None, **inputs: NDArray[Any]) -> Arrays:
        """The ensemble's outputs, by name, for its inputs [1, ...], by name, and its request parameters."""
        known: Arrays = dict(inputs) | preprocess(inputs, parameters or {}, self._recipe)
        for each in self._networks:
            known |= each.run({name: known[name] for name in each.inputs})
        return postprocess(known, parameters or {})


def network(repository: Path, name: str) -> Network:
    """The session of the repository's own config, but with all cores: nothing runs beside it here."""
    folder = repository / name
    config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    config.parameters.pop(SHARE_PARAMETER, None)
    as_triton = json.loads(json_format.MessageToJson(config, preserving_proto_field_name=True))
    return Network(as_triton, Instance(folder / VERSION, "CPU", 0))
