"""The gateway: faces for whoever speaks HTTP or Kafka, and a page to watch them on.

``service``    what every door needs, whatever its protocol; knows no web framework
``http``       uploads, Server-Sent Events, WebSocket, conversion, health: each parses its protocol into a
               :class:`~emotalk_gateway.service.request.FaceRequest` and hands out the faces that come
``grpc``       other services' clients over gRPC, each on a port of its own
``kafka``      requests from a topic, answers into another
``page``       the page on which faces are watched, and the one for a single result
``listening``  a port, its connections and who may ask there, for whichever door answers
``app``        puts them together

Each door has an extra of its own (``emotalk-triton[gateway]``, ``emotalk-triton[kafka]``), so nothing is imported here.
Nothing outside of this package imports it but the commands that run it.
"""
