"""Audio2Face-3D's service, for its clients: a clip or a voice in, frames with their sound out.

``header``      what a caller says first, checked
``parameters``  what its parameters mean here
``emotions``    emotions with time codes
``sound``       the speech of one call, from the caller to the face and back beside it
``answers``     the messages that go out
``controller``  one call from its header to its end
``configs``     the configuration that callers may ask for
``door``        all of it on a port
"""
