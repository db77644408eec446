"""Anybody's face: a photograph becomes an avatar that the 52 blendshapes move.

A picture is decoded in a process of its own, its face is found by Triton's models, judged, and this project's head is
fitted to it. The result is a folder with an ordinary glTF; nothing looks for a face when the avatar speaks.
"""
