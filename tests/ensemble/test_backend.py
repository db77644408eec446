"""The onnxruntime backend's session, on a tiny graph of its own."""

import os

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from emotalk_contract.configs import GPU_SESSION
from emotalk_contract.errors import InvalidShape
from emotalk_ensemble.backend.errors import BackendError
from emotalk_ensemble.backend.session import Instance, Network, providers, session_options
from emotalk_ensemble.exchange import Refusal

pytestmark = pytest.mark.unit

CONFIG = {"name": "gather", "input": [{"name": "X"}, {"name": "I"}], "output": [{"name": "Y"}]}


@pytest.fixture
def folder(tmp_path):
    """A graph that takes X[b, I[b]]; an index out of range makes ONNX Runtime fail."""
    nodes = [helper.make_node("GatherElements", ["X", "I"], ["Y"], axis=1)]
    graph = helper.make_graph(
        nodes,
        "gather",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, ["b", "n"]),
            helper.make_tensor_value_info("I", TensorProto.INT64, ["b", 1]),
        ],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["b", 1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "model.onnx"
    )
    return tmp_path


def request(index, rows=1):
    return {"X": np.arange(3 * rows, dtype=np.float32).reshape(rows, 3), "I": np.full((rows, 1), index)}


def network(folder):
    return Network(CONFIG, Instance(folder, "CPU", 0))


def test_joined_requests_get_what_each_gets_alone(folder):
    net = network(folder)
    batch = [request(0), request(2, rows=2), request(1)]
    for together, alone in zip(net.run_all(batch), batch, strict=True):
        np.testing.assert_array_equal(together["Y"], net.run(alone)["Y"])


@pytest.mark.parametrize("bad", range(8))
def test_a_bad_request_takes_no_other_with_it(folder, bad):
    batch = [request(i % 3) for i in range(8)]
    batch[bad] = request(99)
    results = network(folder).run_all(batch)
    assert [isinstance(result, Refusal) for result in results] == [i == bad for i in range(8)]
    assert [r["Y"].item() for i, r in enumerate(results) if i != bad] == [i % 3 for i in range(8) if i != bad]
    assert "index" in results[bad].message
    assert results[bad].message.startswith("[InternalError] ")
    assert len(results[bad].message) < 600


def test_what_cannot_be_joined_runs_alone(folder):
    wide = {"X": np.zeros((1, 5), np.float32), "I": np.zeros((1, 1), np.int64)}
    results = network(folder).run_all([request(1), wide, request(2)])
    assert [result["Y"].item() for result in results] == [1, 0, 2]


def test_nothing_to_run_is_nothing(folder):
    assert network(folder).run_all([]) == []


@pytest.mark.parametrize(("length", "accepted"), [(0, False), (1, True), (3, True), (4, False), (10**6, False)])
def test_inputs_longer_than_the_config_allows_are_refused(folder, length, accepted):
    parameters = {"longest_inputs": {"string_value": '{"X": 3}'}}
    net = Network(CONFIG | {"parameters": parameters}, Instance(folder, "CPU", 0))
    given = {"X": np.zeros((1, length), np.float32), "I": np.zeros((1, 1), np.int64)}
    if accepted:
        assert net.checked(given) is given
    else:
        with pytest.raises(InvalidShape, match=rf"X has shape \[1, {length}\]; accepted: a length of 1 to 3"):
            net.checked(given)


@pytest.mark.parametrize(("limit", "sizes"), [(None, [5]), ("40", [2, 2, 1]), ("59", [2, 2, 1]), ("1", [1] * 5)])
def test_requests_are_joined_up_to_a_size(folder, limit, sizes):
    """One is 20 bytes: three floats and an index."""
    parameters = {"largest_joined_bytes": {"string_value": limit}} if limit else {}
    net = Network(CONFIG | {"parameters": parameters}, Instance(folder, "CPU", 0))
    computed = []
    run = net.run
    net.run = lambda inputs: computed.append(len(inputs["X"])) or run(inputs)
    results = net.run_all([request(index) for index in (0, 1, 2, 1, 0)])
    assert computed == sizes
    assert [result["Y"].item() for result in results] == [0, 1, 2, 1, 0]


@pytest.fixture(scope="module")
def convolution(tmp_path_factory):
    """Y[b, t] = X[b, 3t .. 3t + 5] . [1 .. 5] + S[b]."""
    folder = tmp_path_factory.mktemp("convolution")
    nodes = [
        helper.make_node("Unsqueeze", ["X", "one"], ["x"]),
        helper.make_node("Conv", ["x", "w"], ["y"], strides=[3]),
        helper.make_node("Squeeze", ["y", "one"], ["sum"]),
        helper.make_node("Add", ["sum", "S"], ["Y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", n]) for name, n in (("X", "n"), ("S", 1))],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["b", "t"])],
        [
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.arange(1, 6, dtype=np.float32)[None, None], "w"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), folder / "model.onnx"
    )
    return folder


@pytest.mark.parametrize("samples", [5, 7, 8, 17, 19, 20, 21, 64, 100])
def test_tiles_give_what_the_whole_gives_and_none_is_longer_than_asked_for(convolution, samples):
    config = {"name": "convolution", "input": [{"name": "X"}, {"name": "S"}], "output": [{"name": "Y"}]}
    whole = Network(config, Instance(convolution, "CPU", 0))
    tiling = {"tiling": {"string_value": '{"input": "X", "hop": 3, "span": 5, "steps": 4}'}}
    tiled = Network(config | {"parameters": tiling}, Instance(convolution, "CPU", 0))
    computed = []
    run = tiled._run_whole
    tiled._run_whole = lambda inputs: computed.append(inputs["X"].shape[1]) or run(inputs)
    given = {
        "X": np.random.default_rng(samples).integers(-9, 9, (2, samples)).astype(np.float32),
        "S": np.array([[1], [2]], np.float32),
    }
    np.testing.assert_array_equal(tiled.run(given)["Y"], whole.run(given)["Y"])
    steps = (samples - 5) // 3 + 1
    assert len(computed) == -(-steps // 4)
    assert max(computed) <= 3 * 3 + 5 + 2  # the rest at the end is no step's


def test_a_clip_too_short_for_a_step_is_refused_as_without_tiles(convolution):
    tiling = {"tiling": {"string_value": '{"input": "X", "hop": 3, "span": 5, "steps": 4}'}}
    config = {"name": "convolution", "input": [{"name": "X"}, {"name": "S"}], "output": [{"name": "Y"}]}
    net = Network(config | {"parameters": tiling}, Instance(convolution, "CPU", 0))
    [refusal] = net.run_all([{"X": np.zeros((1, 4), np.float32), "S": np.zeros((1, 1), np.float32)}])
    assert isinstance(refusal, Refusal)


def test_a_missing_graph_names_the_file(tmp_path):
    with pytest.raises(BackendError, match=r"model\.onnx is missing"):
        network(tmp_path)


def test_a_gpu_without_cuda_is_refused(tmp_path):
    assert "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
    with pytest.raises(BackendError, match="onnxruntime-gpu"):
        providers(Instance(tmp_path, "GPU", 0), {})


def test_a_gpu_has_the_limits_of_its_config(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    instance = Instance(tmp_path, "GPU", 1)
    assert providers(instance, {})[0] == ("CUDAExecutionProvider", {"device_id": 1})
    limit = {"gpu_mem_limit": "5368709120"}
    given = GPU_SESSION | limit | {"longest_inputs": "{}"}
    names = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
    assert providers(instance, given)[0][1] == {"device_id": 1} | limit | names
    with pytest.raises(BackendError, match=r"arena_extend_strategy is '2'; accepted: 0 \(kNextPowerOfTwo\), 1"):
        providers(instance, {"arena_extend_strategy": "2"})
    assert providers(Instance(tmp_path, "CPU", 0), given) == ["CPUExecutionProvider"]


def test_tritons_arguments_are_read():
    instance = Instance.from_arguments(
        {
            "model_repository": "/r/m",
            "model_version": "3",
            "model_instance_kind": "GPU",
            "model_instance_device_id": "1",
        }
    )
    assert (str(instance.folder), instance.kind, instance.device) == ("/r/m/3", "GPU", 1)


def test_session_settings_are_honoured():
    options = session_options(
        {
            "intra_op_thread_count": "3",
            "inter_op_thread_count": "2",
            "enable_mem_arena": "0",
            "enable_mem_pattern": "0",
            "execution_mode": "1",
            "session.intra_op.allow_spinning": "0",
        },
        level="2",
    )
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert (options.enable_cpu_mem_arena, options.enable_mem_pattern) == (False, False)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert session_options({}).enable_cpu_mem_arena


@pytest.mark.parametrize(
    ("threads", "share", "expected"),
    [("8", "0.5", 4), ("3", "0.5", 2), ("1", "0.5", 1), ("0", "1", len(os.sched_getaffinity(0)))],
)
def test_a_network_beside_another_takes_its_share_of_the_cores(threads, share, expected):
    options = session_options({"intra_op_thread_count": threads, "share_of_cores": share})
    assert options.intra_op_num_threads == expected
