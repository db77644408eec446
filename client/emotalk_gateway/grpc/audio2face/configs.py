"""The configuration that callers may ask for, in the three files that Audio2Face-3D's own have: what is true here.

Everything in them is a mapping of names to mappings, texts, numbers and bools, which is all that :func:`_yaml` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.regions import FACE_PARAMETERS
from emotalk_contract.timing import FPS
from emotalk_gateway.grpc.audio2face import parameters
from emotalk_gateway.grpc.audio2face.answers import BLENDSHAPES
from emotalk_gateway.grpc.audio2face.controller import MAX_BUFFER_S
from emotalk_gateway.grpc.audio2face.header import BITS, MAX_RATE, MIN_RATE
from emotalk_gateway.grpc.calls import Call
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service.settings import GatewaySettings

SERVICE = "nvidia_ace.services.a2x_export_config.v1.A2XExportConfigService"


def files(settings: GatewaySettings) -> dict[str, Any]:
    """Return the content of each file by its name, without ending."""
    return {
        "stylization_config": {
            "a2f": {
                "face_params": {name: float(one.default) for name, one in FACE_PARAMETERS.items() if one.meaning},
                "blendshape_params": {
                    "enable_clamping_bs_weight": False,
                    "weight_multipliers": dict.fromkeys(BLENDSHAPES, 1.0),
                    "weight_offsets": dict.fromkeys(BLENDSHAPES, 0.0),
                },
            },
            "default_beginning_emotions": dict.fromkeys(EMOTIONS, 0.0),
            "post_processing_params": {
                "enable_preferred_emotion": True,
                "preferred_emotion_strength": parameters.PREFERRED_STRENGTH,
                "emotion_strength": parameters.EMOTION_STRENGTH,
                "live_transition_time": parameters.TRANSITION_S,
            },
        },
        "deployment_config": {
            "common": {"stream_number": settings.max_streams},
            "endpoints": {"use_bidirectional": True},
        },
        "advanced_config": {
            "pipeline_parameters": {
                "burst_mode": settings.a2f_pace == "burst",
                "blendshape_streaming_fps": FPS,
                "enable_tongue_blendshapes": False,
            },
            "garbage_collector": {"max_idle_time_ms": round(settings.a2f_idle_s * 1000)},
            "limits": {
                "min_sample_rate": MIN_RATE,
                "max_sample_rate": MAX_RATE,
                "channel_count": 1,
                "bits_per_sample": BITS,
                "max_audio_buffer_seconds": MAX_BUFFER_S,
                "max_audio_clip_seconds": float(settings.a2f_max_clip_s),
                "max_seconds_without_reading": float(settings.send_timeout_s),
            },
        },
    }


class Configs:
    """Answers with :func:`files`."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    async def get(self, request: Any, call: Call) -> None:
        """Send each file, as YAML or as JSON."""
        answer = message("nvidia_ace.services.a2x_export_config.v1.A2XConfig")
        as_json = request.config_type == request.JSON
        for name, content in files(self._settings).items():
            text = json.dumps(content, indent=2) + "\n" if as_json else "".join(_yaml(content))
            await call.write(answer(name=f"{name}.{'json' if as_json else 'yaml'}", content=text))


def _yaml(content: dict[str, Any], depth: int = 0) -> Iterator[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield f"{'  ' * depth}{name}:\n"
            yield from _yaml(value, depth + 1)
        else:
            yield f"{'  ' * depth}{name}: {json.dumps(value)}\n"
