"""Surroundings of the networks on Triton: pre- and post-processing, admission, the onnxruntime backend.

``preprocess``   requests to the networks' inputs
``postprocess``  raw weights to a face; ``smoothing`` and ``blinks`` are parts of it
``admission``    a bound on how many requests are in the ensemble; ``shared_file`` is what its ends share
``exchange``     between Triton's requests and these functions
``backend``      ONNX Runtime in Python, for a Triton without it
"""
