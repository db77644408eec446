"""Run with a2f-client on its path: uses the package as a person would, and writes what came, as JSON."""

import json
import sys
from pathlib import Path

from a2f_client import A2FClient
from a2f_client.utils import merge_blendshapes

port, sound, folder, outside, answer = sys.argv[1:]
client = A2FClient(port=port, output_dir=folder)
said = {"objects": [client.player, client.a2f_instance, client.solver]}
client.set_audio(sound)
said["duration"] = client.duration
said["answer"] = client.generate_blendshapes(fps=15)
said["whole"] = said["answer"].pop("blendshapes")
halves = [client.generate_blendshapes(start, end, fps=15) for start, end in ((0, 3.0), (3.0, client.duration))]
said["merged"] = merge_blendshapes(*(half["blendshapes"] for half in halves))
said["keys"] = client.generate_blendshapes(fps=15, use_a2e=True)["blendshapes"]
client.set_emotions({"sadness": 1.0, "unheard-of": 3.0})
said["sad"] = client.generate_blendshapes(fps=5)["blendshapes"]
client.set_emotions()
said["plain"] = client.generate_blendshapes(fps=5)["blendshapes"]
elsewhere = A2FClient(port=port, output_dir=outside)
elsewhere.set_audio(sound)
try:
    elsewhere.generate_blendshapes(fps=5)
except RuntimeError as error:
    said["refusal"] = str(error)
Path(answer).write_text(json.dumps(said))
