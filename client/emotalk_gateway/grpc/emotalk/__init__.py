"""The EmoTalk service: a whole audio file in, its face in chunks out.

``asked``    what a request means here
``chunks``   how a face is cut into answers
``service``  the two methods
``door``     a port of their own
"""
