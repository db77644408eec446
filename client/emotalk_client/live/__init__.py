"""Live streams: speech goes in as it is spoken, frames come out as soon as they are final."""

from emotalk_client.live.session import AsyncLiveSession, Cancelled
from emotalk_client.live.settings import LiveOptions
from emotalk_client.live.sync import LiveSession
from emotalk_client.live.utterance import LiveStatus

__all__ = ["AsyncLiveSession", "Cancelled", "LiveOptions", "LiveSession", "LiveStatus"]
