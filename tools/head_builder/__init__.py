"""Builds the head that the client carries: ``client/emotalk_client/faces/head/head.glb``.

``makehuman``  reads the CC0 base mesh, its targets and its masks
``mesh``       triangles, normals, cutting along a surface
``parts``      skin, eyes, teeth, tongue and hair, each with the 52 morph targets
``gltf``       parts into a .glb

``make head`` runs it. It is not a part of what is installed.
"""
