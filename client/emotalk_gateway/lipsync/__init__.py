"""The lip-sync server's WebSocket: pictures of mouths, asked for and answered in binary.

``dialect`` the messages; ``socket`` a conversation; ``door`` a port of its own.
"""
