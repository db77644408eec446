"""Live streams: speech goes in as it is spoken, frames come out as soon as they are final."""

from emotalk_client.live.session import AsyncLiveSession, LiveStatus
from emotalk_client.live.settings import LiveOptions
from emotalk_client.live.sync import LiveSession

__all__ = ["AsyncLiveSession", "LiveOptions", "LiveSession", "LiveStatus"]
