"""Faces over time: animations, their files, live outputs, the head and the plot."""
