"""The models that see a face in a picture: a detector, landmarks, and the expression that landmarks show.

They belong to no network of faces, are asked once when an avatar is registered, and are served where they were asked
for (``emotalk-server --models core,live,avatar``). The three graphs are MediaPipe's (Google, Apache-2.0), made ONNX by
``tools/face_models.py``; NOTICE has where they come from.
"""

from __future__ import annotations

from emotalk_contract.limits import MAX_BATCH, QUEUE_SIZE
from emotalk_contract.protobuf_text import Enum, Value, dumps
from emotalk_contract.tensors import Model, Tensor

GROUP = "avatar"
"""Of models, as ``--models`` names it."""

DETECTOR_SIDE = 128
"""Pixels of the square that the detector sees."""
ANCHORS = 896
"""Places at which the detector looks for a face."""
BOX_VALUES = 16
"""Of an anchor: centre, width and height, then six points: eyes, nose, mouth, ears."""
LANDMARKS_SIDE = 256
"""Pixels of the square that the landmark network sees."""
LANDMARK_COUNT = 478
"""Of a face: MediaPipe's Face Mesh V2, with irises."""
EXPRESSION_POINTS = 146
"""Landmarks that the expression is read from."""
EXPRESSION_SCORES = 52
"""Scores of an expression; the first is of a neutral face."""

FACE_DETECTOR = Model(
    "face_detector",
    (Tensor("IMAGE", "FP32", (DETECTOR_SIDE, DETECTOR_SIDE, 3), "RGB, -1..1"),),
    (
        Tensor("BOXES", "FP32", (ANCHORS, BOX_VALUES), "pixels of IMAGE, from the anchor's own place"),
        Tensor("SCORES", "FP32", (ANCHORS, 1), "logits"),
    ),
)
FACE_LANDMARKS = Model(
    "face_landmarks",
    (Tensor("IMAGE", "FP32", (LANDMARKS_SIDE, LANDMARKS_SIDE, 3), "RGB, 0..1, the face upright"),),
    (
        Tensor("LANDMARKS", "FP32", (3 * LANDMARK_COUNT,), "x, y, z of each: pixels of IMAGE"),
        Tensor("PRESENCE", "FP32", (1,), "logit: a face is there"),
    ),
)
FACE_BLENDSHAPES = Model(
    "face_blendshapes",
    (Tensor("POINTS", "FP32", (EXPRESSION_POINTS, 2), "x, y in pixels of the picture"),),
    (Tensor("EXPRESSION", "FP32", (EXPRESSION_SCORES,), "0..1; the first is of a neutral face"),),
)
MODELS: tuple[Model, ...] = (FACE_DETECTOR, FACE_LANDMARKS, FACE_BLENDSHAPES)

SESSION = {
    "intra_op_thread_count": "1",  # the graphs are small, and asked rarely
    "inter_op_thread_count": "1",
    "enable_mem_arena": "0",
    "session.intra_op.allow_spinning": "0",
}
"""ONNX Runtime session settings."""


def config(model: Model) -> str:
    """Return the ``config.pbtxt`` of ``model``, one of :data:`MODELS`, without a header."""

    def entry(tensor: Tensor) -> dict[str, Value]:
        return {"name": tensor.name, "data_type": Enum("TYPE_FP32"), "dims": list(tensor.axes)}

    def warm_up(tensor: Tensor) -> dict[str, Value]:
        noise: dict[str, Value] = {"data_type": Enum("TYPE_FP32"), "dims": list(tensor.axes), "random_data": True}
        return {"key": tensor.name, "value": noise}

    return dumps(
        {
            "name": model.name,
            "backend": "onnxruntime",
            "default_model_filename": "model.onnx",
            "max_batch_size": MAX_BATCH,
            "input": [entry(tensor) for tensor in model.inputs],
            "output": [entry(tensor) for tensor in model.outputs],
            "instance_group": [{"count": 1, "kind": Enum("KIND_CPU")}],
            "dynamic_batching": {
                "max_queue_delay_microseconds": 0,
                "default_queue_policy": {"max_queue_size": QUEUE_SIZE},
            },
            "parameters": [{"key": key, "value": {"string_value": value}} for key, value in SESSION.items()],
            "model_warmup": [{"name": "one", "batch_size": 1, "inputs": [warm_up(tensor) for tensor in model.inputs]}],
        }
    )
