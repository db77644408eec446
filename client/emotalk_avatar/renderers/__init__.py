"""A user's own neural renderer draws the mouth of an avatar: sound and a picture of a face in, a picture out.

``mel``         the sound as the networks hear it
``crops``       the part of a picture that a network draws, from a face's landmarks
``composition`` what was drawn, put back into the picture
``networks``    the models that Triton serves, asked
``rendering``   sound and pictures in step: the frames of a video
"""
