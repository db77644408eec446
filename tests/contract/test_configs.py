"""The generated config.pbtxt files, read back with the real protocol buffers."""

import json
from dataclasses import asdict, replace
from pathlib import PurePosixPath

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from emotalk_contract import repository, tensors
from emotalk_contract.configs import config_files, longest_axes
from emotalk_contract.limits import MAX_CLIP_SAMPLES, MAX_FRAMES, MAX_SAMPLES
from emotalk_contract.pipeline import pipeline
from emotalk_contract.protobuf_text import Enum, dumps
from emotalk_contract.recipe import Manifest, Recipe, Widths
from emotalk_contract.timing import FEATURE_HOP, feature_count
from emotalk_ensemble.preprocess import preprocess

pytestmark = pytest.mark.unit

MANIFEST = Manifest('a "quoted" name', Recipe(normalisation="none"), Widths(5, 6, 7, 8), licence="mine")
WITHOUT_EMOTIONS = Manifest(
    "no emotions", Recipe(normalisation="patches", emotional=False, styles=12), Widths(5, 0, 7, 0, 12, 110)
)
DETECTING = Manifest(
    "detects emotions", Recipe(detected_emotions=("calm", "joy", "anger")), Widths(5, 6, 7, 8, detected_emotions=3)
)


def parsed_configs(manifest):
    files = config_files(manifest, queue_size=17)
    return {path: text_format.Parse(text, model_config_pb2.ModelConfig()) for path, text in files.items()}


CONFIGS = parsed_configs(MANIFEST)
PATHS = sorted(str(path) for path in CONFIGS)


GRAPHS = pipeline(MANIFEST.recipe).graphs


def config(path):
    return CONFIGS[PurePosixPath(path)]


@pytest.mark.parametrize("manifest", [MANIFEST, WITHOUT_EMOTIONS, DETECTING], ids=["emotions", "none", "detected"])
@pytest.mark.parametrize("path", PATHS)
def test_tensors_are_the_contracts(path, manifest):
    served = pipeline(manifest.recipe)
    parsed = parsed_configs(manifest).get(PurePosixPath(path))
    model = next((m for m in (*served.steps, served.ensemble) if m.name == PurePosixPath(path).parts[0]), None)
    if model is None:
        assert parsed is None
        return
    assert parsed.name == model.name
    widths = asdict(manifest.widths)
    for entries, expected in ((parsed.input, model.inputs), (parsed.output, model.outputs)):
        assert [e.name for e in entries] == [t.name for t in expected]
        for entry, tensor in zip(entries, expected, strict=True):
            assert model_config_pb2.DataType.Name(entry.data_type) == f"TYPE_{tensor.datatype}"
            assert list(entry.dims) == [a if isinstance(a, int) else widths.get(a, -1) for a in tensor.axes]
    assert [e.optional for e in parsed.input] == [t.optional for t in model.inputs]


@pytest.mark.parametrize("path", [p for p in PATHS if not p.startswith("emotalk/")])
def test_every_step_batches_and_warms_up(path):
    parsed = config(path)
    assert parsed.HasField("dynamic_batching")
    # A bounded queue would let requests sleep for 500 ms: see emotalk_ensemble.admission.
    assert not parsed.dynamic_batching.HasField("default_queue_policy")
    assert [warm_up.batch_size for warm_up in parsed.model_warmup] == [1]
    assert set(parsed.model_warmup[0].inputs) == {i.name for i in parsed.input if not i.optional}


@pytest.mark.parametrize("model", [m.name for m in tensors.GRAPHS])
def test_profiles(model):
    cpu, gpu, tensorrt = (config(f"{model}/{p}.pbtxt") for p in ("config", "configs/gpu", "configs/tensorrt"))
    kinds = model_config_pb2.ModelInstanceGroup
    assert (cpu.backend, cpu.instance_group[0].kind) == ("onnxruntime", kinds.KIND_CPU)
    assert cpu.parameters["enable_mem_arena"].string_value == "0"
    assert (gpu.backend, gpu.instance_group[0].kind) == ("onnxruntime", kinds.KIND_GPU)
    assert (tensorrt.platform, tensorrt.default_model_filename) == ("tensorrt_plan", "model.plan")
    assert gpu.dynamic_batching.max_queue_delay_microseconds > 0


def test_a_model_without_emotions_has_no_emotion_encoder_and_its_ensemble_takes_the_same():
    configs = parsed_configs(WITHOUT_EMOTIONS)
    assert not [path for path in configs if path.parts[0] == "wav2vec_emotion"]
    ensemble = configs[PurePosixPath("emotalk", "config.pbtxt")]
    assert [i.name for i in ensemble.input] == [t.name for t in tensors.ENSEMBLE.inputs]
    assert {i.name: list(i.dims) for i in ensemble.input}["STYLE"] == [12]
    steps = [step.model_name for step in ensemble.ensemble_scheduling.step]
    assert steps == [model.name for model in pipeline(WITHOUT_EMOTIONS.recipe).steps]
    known = {i.name for i in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        assert set(step.input_map.values()) <= known
        known |= set(step.output_map.values())
    assert {o.name for o in ensemble.output} <= known


@pytest.mark.parametrize(("context_s", "tiled"), [(0.0, True), (0.5, False)])
def test_a_frontend_that_hears_no_further_than_its_features_runs_in_tiles_on_cpus_only(context_s, tiled):
    manifest = replace(MANIFEST, recipe=replace(MANIFEST.recipe, frontend_context_s=context_s))
    for path, message in parsed_configs(manifest).items():
        expected = tiled and path == PurePosixPath("wav2vec_frontend", "config.pbtxt")
        assert ("tiling" in message.parameters) == expected, path
        if expected:
            parameters = json.loads(message.parameters["tiling"].string_value)
            assert parameters == {"input": "NETWORK_AUDIO", "hop": 320, "span": 400, "steps": 100}


@pytest.mark.parametrize("model", GRAPHS, ids=[m.name for m in GRAPHS])
@pytest.mark.parametrize("profile", ["config", "configs/gpu"])
def test_each_input_of_a_network_has_its_greatest_length(model, profile):
    lengths = json.loads(config(f"{model.name}/{profile}.pbtxt").parameters["longest_inputs"].string_value)
    assert set(lengths) == {t.name for t in model.inputs if t.axes[0] in longest_axes(MANIFEST.recipe)}
    assert lengths.get("CONTENT_POSITIONS", MAX_FRAMES) == MAX_FRAMES


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(normalisation="none", frame_grid="uniform", frontend_context_s=0.9725)]
)
@pytest.mark.parametrize("start_frame", [0, 3, 299_997])
def test_the_greatest_lengths_are_those_of_the_longest_requests(recipe, start_frame):
    longest = longest_axes(recipe)
    clip = np.zeros((1, MAX_SAMPLES), np.float32)
    place = {"START_FRAME": np.array([[start_frame]]), "CLIP_SAMPLES": np.array([[MAX_CLIP_SAMPLES]])}
    for inputs in ({"AUDIO": clip, "EMOTION_AUDIO": clip}, {"AUDIO": clip, **place}):
        out = preprocess(inputs, {}, recipe)
        for tensor in tensors.PREPROCESS.outputs:
            if tensor.name in out and tensor.axes[0] in longest:
                assert out[tensor.name].shape[1] <= longest[tensor.axes[0]], tensor.name
        assert feature_count(out["NETWORK_AUDIO"].shape[1]) <= longest["features"]
        if "EMOTION_AUDIO" in inputs:
            assert out["NETWORK_AUDIO"].shape[1] > longest["network_samples"] - 2 * FEATURE_HOP


def test_arenas_on_a_gpu_are_limited_and_fit_a_card_of_24_gb_together():
    limits = []
    for model in tensors.GRAPHS:
        gpu = config(f"{model.name}/configs/gpu.pbtxt")
        # The backend reads numbers here, and lets no accelerator overrule them.
        assert gpu.parameters["arena_extend_strategy"].string_value == "1"
        assert gpu.parameters["cudnn_conv_algo_search"].string_value == "1"
        assert not gpu.optimization.execution_accelerators.gpu_execution_accelerator
        limits.append(int(gpu.parameters["gpu_mem_limit"].string_value))
        for profile in ("config", "configs/tensorrt"):
            assert "gpu_mem_limit" not in config(f"{model.name}/{profile}.pbtxt").parameters
    assert min(limits) >= 2 * 2**30
    assert sum(limits) <= 21 * 2**30


def test_encoders_that_are_alike_share_the_cores():
    alike = replace(MANIFEST, encoders_alike=True)
    shares = {
        path.parts[0]: text_format.Parse(text, model_config_pb2.ModelConfig()).parameters["share_of_cores"].string_value
        for path, text in config_files(alike).items()
        if path.name == "config.pbtxt"
    }
    halved = {name for name, share in shares.items() if share}
    assert halved == {"wav2vec_content", "wav2vec_emotion"}
    assert {shares[name] for name in halved} == {"0.5"}
    assert "share_of_cores" not in config("wav2vec_content/config.pbtxt").parameters


def test_the_first_step_knows_how_many_requests_it_may_admit():
    assert config("emotalk_preprocess/config.pbtxt").parameters["queue_size"].string_value == "17"


def test_the_recipe_travels_in_the_parameters():
    for path in ("emotalk_preprocess/config.pbtxt", "emotalk/config.pbtxt"):
        strings = {key: value.string_value for key, value in config(path).parameters.items()}
        assert Recipe.from_strings(strings) == MANIFEST.recipe
    about = config("emotalk/config.pbtxt").parameters
    assert (about["model"].string_value, about["licence"].string_value) == ('a "quoted" name', "mine")


def test_the_committed_configs_are_what_the_contract_generates():
    assert repository.stale_configs(repository.bundled()) == []


def test_a_changed_config_is_noticed_and_update_mends_it(tmp_path):
    MANIFEST.save(tmp_path)
    assert repository.main([str(tmp_path)]) == 1
    assert repository.main([str(tmp_path), "--update"]) == 0
    assert repository.main([str(tmp_path)]) == 0
    path = tmp_path / "wav2vec_content" / "configs" / "gpu.pbtxt"
    path.write_text(path.read_text().replace("KIND_GPU", "KIND_CPU"))
    assert repository.stale_configs(tmp_path) == [path]


def test_text_format_escapes_and_repeats():
    message = {"name": 'a"b\\c\nd', "max_batch_size": 0, "input": [{"dims": [-1, 2], "data_type": Enum("TYPE_FP32")}]}
    parsed = text_format.Parse(dumps(message), model_config_pb2.ModelConfig())
    assert parsed.name == 'a"b\\c\nd'
    assert list(parsed.input[0].dims) == [-1, 2]
