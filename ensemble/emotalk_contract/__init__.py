"""The one source of names, shapes, limits and defaults.

``tensors``  names, types and shapes of every tensor, model by model
``limits``   what a request may ask for
``options``  post-processing options: names, types, defaults, parsing
``recipe``   what a set of weights needs from its surroundings; the repository's MANIFEST.json
``configs``  the ``config.pbtxt`` files, generated

Stdlib and numpy only: the client, the server, the export and the tests all read it.
"""
