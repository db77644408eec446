"""The HTTP door: uploads, Server-Sent Events, WebSocket, conversion, health."""
