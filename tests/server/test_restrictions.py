"""What nobody may do on Triton's ports: read memory, load code, silence the log. The lock has no key."""

import json
import urllib.error
import urllib.request

import psutil
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from emotalk_server.restrictions import NO_HEADER, NO_VALUE

pytestmark = pytest.mark.server

LOCKED = [
    ("POST", "/v2/systemsharedmemory/region/a/register", {"key": "/x", "offset": 0, "byte_size": 8}),
    ("GET", "/v2/systemsharedmemory/status", None),
    ("GET", "/v2/cudasharedmemory/status", None),
    ("POST", "/v2/repository/models/emotalk/unload", {}),
    ("POST", "/v2/repository/models/evil/load", {"parameters": {"config": "{}", "file:1/model.py": "AAAA"}}),
    ("POST", "/v2/repository/index", {}),
    ("POST", "/v2/logging", {"log_error": False}),
    ("GET", "/v2/logging", None),
    ("POST", "/v2/trace/setting", {"trace_level": ["TIMESTAMPS"]}),
]
OPEN = ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/emotalk", "/v2/models/emotalk/config"]


def ask(server, method, path, body, headers=()):
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{server.http_url}{path}", content, method=method)
    request.add_header("Content-Type", "application/json")
    for name, value in headers:
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(("method", "path", "body"), LOCKED)
def test_http_is_locked(bundled_server, method, path, body):
    assert ask(bundled_server, method, path, body) == 403
    for name in ("No", "No\\nheader", NO_HEADER.replace("\n", " "), NO_HEADER.replace("\n", "-")):
        assert ask(bundled_server, method, path, body, [(name.replace(" ", "-"), NO_VALUE.strip())]) == 403


@pytest.mark.parametrize("path", OPEN)
def test_http_tells_what_all_may_know(bundled_server, path):
    assert ask(bundled_server, "GET", path, None) == 200


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("register_system_shared_memory", ("a", "/x", 8)),
        ("get_system_shared_memory_status", ()),
        ("unload_model", ("emotalk",)),
        ("load_model", ("emotalk",)),
        ("get_model_repository_index", ()),
        ("update_log_settings", ({"log_error": False},)),
        ("get_trace_settings", ()),
    ],
)
def test_grpc_is_locked(bundled_server, call, arguments):
    with tritonclient.grpc.InferenceServerClient(bundled_server.grpc_url) as client:
        for headers in (None, {"triton-grpc-protocol-no": ""}, {"triton-grpc-protocol-no header": ""}):
            with pytest.raises((InferenceServerException, ValueError)) as refused:
                getattr(client, call)(*arguments, headers=headers)
            assert "restricted" in str(refused.value) or "metadata" in str(refused.value).lower()
        assert client.is_model_ready("emotalk")
        assert client.get_inference_statistics("emotalk").model_stats


def test_what_every_local_user_can_read_opens_nothing(bundled_server):
    """Names and values of the lock have a line feed in them, which neither protocol can carry."""
    arguments = psutil.Process(bundled_server.process.pid).cmdline()
    locks = [argument for argument in arguments if "-restricted-" in argument]
    assert len(locks) == 2
    for lock in locks:
        name, _, value = lock.partition(":")[2].partition("=")
        assert "\n" in name
        assert "\n" in value
    assert not [a for a in arguments if "secret" in a.lower() or "supervisor" in a.lower()]
    assert "--model-control-mode=explicit" not in arguments


def test_regions_lie_where_triton_lets_nobody_register(bundled_server):
    arguments = psutil.Process(bundled_server.process.pid).cmdline()
    prefixes = [a.partition("shm-region-prefix-name=")[2] for a in arguments if "shm-region-prefix-name=" in a]
    assert len(prefixes) == 2
    assert all(prefix.startswith("triton_python_backend_shm_region_") for prefix in prefixes)
