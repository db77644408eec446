"""The one source of names, shapes, limits and defaults.

``tensors``  names, types and shapes of every tensor, model by model
``limits``   limits of a request, and its defaults
``options``  post-processing options: names, types, defaults, parsing
``regions``  Audio2Face's face parameters, and what they do here
``emotion_curve``  emotions over time
``recipe``   the needs of a set of weights; the repository's MANIFEST.json
``errors``   the mistakes a request can make, a class each
``quoting``  values in messages, bounded
``timing``   samples, features and frames
``configs``  the ``config.pbtxt`` files, generated

Stdlib and numpy only: the client, the server, the export and the tests all read it.
"""
