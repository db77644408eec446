"""The gateway's doors for whoever speaks gRPC, each a :class:`~emotalk_gateway.grpc.serving.GrpcDoor` on its own port.

``protos``     the messages, in our own words, and what they compile to
``messages``   their classes
``serving``    a gRPC server as a door; ``calls``, ``tls``, ``access`` and ``health`` are what every one of them needs
``audio2face`` Audio2Face-3D's service
``emotalk``    the EmoTalk service

The extra is ``emotalk-triton[a2f]``.
"""
