"""Talks to the ensemble with NVIDIA's own clients."""

import numpy as np

from emotalk_contract import tensors


def infer(module, client, parameters=None, **inputs):
    """Send ``inputs`` through the ensemble with ``tritonclient.grpc`` or ``.http``; outputs by name."""
    known = {t.name: t for t in tensors.ENSEMBLE.inputs}
    sent = []
    for name, array in inputs.items():
        tensor = module.InferInput(name, list(np.shape(array)), known[name].datatype)
        tensor.set_data_from_numpy(np.ascontiguousarray(array))
        sent.append(tensor)
    result = client.infer(tensors.ENSEMBLE.name, sent, parameters=parameters)
    return {t.name: result.as_numpy(t.name) for t in tensors.ENSEMBLE.outputs}
