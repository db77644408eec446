"""The committed protos are what they compile to, and register nothing in the process."""

import pytest
from google.protobuf import descriptor_pool

from emotalk_gateway.grpc.messages import message

pytestmark = pytest.mark.unit


def test_the_compiled_protos_are_those_of_the_folder(pytestconfig, monkeypatch):
    monkeypatch.syspath_prepend(pytestconfig.rootpath / "tools")
    import protos

    assert (protos.FOLDER / protos.COMPILED).read_bytes() == protos.compiled()


def test_the_default_pool_knows_none_of_them():
    message("nvidia_ace.controller.v1.AudioStream")
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("nvidia_ace.controller.v1.proto")
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("grpc.health.v1.HealthCheckRequest")
