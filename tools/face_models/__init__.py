"""The face models of MediaPipe's face_landmarker.task (Google, Apache-2.0), written as ONNX.

Not installed with the project, and never run at install time: the graphs that it writes are committed.
"""
