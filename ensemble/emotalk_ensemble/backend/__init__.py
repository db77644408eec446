"""A Python-based ``onnxruntime`` backend for Triton servers that carry no ONNX Runtime of their own.

``onnxruntime/model.py`` is what Triton loads for every model whose config says ``backend: "onnxruntime"``; ``session``
reads the config the way Triton's C++ backend does, so that one model repository serves both, unchanged.
"""
