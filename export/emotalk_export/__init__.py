"""The torch side: EmoTalk's networks, checkpoints, and their way into a Triton model repository.

``emotalk_export.exporter.export`` does all of it; the command is ``emotalk-export``.
"""
