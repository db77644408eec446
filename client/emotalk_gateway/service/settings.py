"""Settings of an operator: as arguments, or as environment variables ``EMOTALK_GATEWAY_…``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from emotalk_contract.timing import SAMPLE_RATE
from emotalk_gateway.service.errors import InvalidSettings

MIB = 2**20


class GatewaySettings(BaseSettings):
    """Limits, access, and nothing that depends on the model.

    Raises (pydantic.ValidationError):
        a value of the wrong type or out of range.
    """

    model_config = SettingsConfigDict(env_prefix="EMOTALK_GATEWAY_", frozen=True, use_attribute_docstrings=True)

    token: SecretStr | None = Field(None, min_length=1)
    """Bearer token that whoever wants a face must show, and that opens everything; none: everybody may ask."""
    tokens: Path | None = None
    """File of tokens with names, scopes and limits (``emotalk token``), beside the one above. Read again when it
    changes."""
    audit: Path | None = None
    """File that gets a line of JSON for each request: who, what and how much. Made anew when it is moved away."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may ask, such as ``["https://example.org"]``; ``["*"]``: all. None: its own page."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside addresses, localhost and this machine's own, under which it may be asked, such as
    ``["faces.example.org", "*.local"]``; ``["*"]``: any."""

    tls_cert: Path | None = None
    """PEM: the certificate of this gateway, with its chain; every door speaks TLS then. Read again when it changes."""
    tls_key: Path | None = None
    """PEM: its private key."""
    tls_client_ca: Path | None = None
    """PEM: those who may vouch for callers, each of whom must show a certificate then (mTLS)."""

    max_upload_bytes: int = Field(64 * MIB, gt=0)
    """Of one request's body."""
    max_audio_s: float = Field(900.0, gt=0)
    """Seconds of one clip."""
    max_text_characters: int = Field(5000, gt=0)
    """Of one text that is to be said."""
    max_requests: int = Field(32, gt=0)
    """Uploads at once, waiting or computed; one more is told to come again."""
    max_computing: int = Field(8, gt=0)
    """Uploads that are computed at once; the others wait."""
    request_timeout_s: float = Field(300.0, gt=0)
    """Seconds of one request, from its first byte to its last."""
    send_timeout_s: float = Field(30.0, gt=0)
    """Seconds in which a caller must read something of an answer; one that does not is let go of."""
    body_timeout_s: float = Field(10.0, gt=0)
    """Seconds in which something of a body must come."""
    min_body_bytes_per_s: int = Field(1000, ge=0)
    """Of a body, once it has been waited for as long as that."""
    retry_after_s: int = Field(2, ge=0)
    """Seconds after which those who are told to come again should."""

    max_connections: int = Field(400, gt=0)
    """Open at once; the one that has been waited for the longest makes room for one more."""
    max_header_bytes: int = Field(64 * 1024, ge=1024)
    """Of a request's URL and headers together."""
    header_timeout_s: float = Field(10.0, gt=0)
    """Seconds in which they must come."""
    max_body_memory_bytes: int = Field(64 * MIB, ge=0)
    """Of all bodies together that lie in memory; what goes beyond lies in files without a name."""
    max_body_bytes: int = Field(2048 * MIB, gt=0)
    """Of all bodies together, in memory and in files."""

    max_streams: int = Field(16, gt=0)
    """Live streams at once: WebSocket sessions, and calls of Audio2Face-3D's clients."""
    max_stream_s: float = Field(3600.0, gt=0)
    """Seconds of speech of one of them."""
    max_starting: int = Field(64, gt=0)
    """WebSockets at once that have not said ``start`` yet, counted from their handshake."""
    start_timeout_s: float = Field(5.0, gt=0)
    """Seconds from the handshake in which ``start`` must come."""
    stream_idle_s: float = Field(60.0, gt=0)
    """Seconds without a message from the caller, or in which it takes no frames, after which a session ends."""
    max_waiting_s: float = Field(120.0, gt=0)
    """Seconds of speech in one session that may wait for the face server (and at most 32 MiB)."""
    max_message_bytes: int = Field(MIB, ge=SAMPLE_RATE)
    """Of one WebSocket message."""

    a2f_pace: Literal["burst", "realtime"] = "burst"
    """Of Audio2Face-3D's frames: ``burst``, once they are computed; ``realtime``, no faster than they are shown."""
    a2f_max_clip_s: float = Field(300.0, gt=0)
    """Seconds of one of its clips."""
    a2f_idle_s: float = Field(30.0, gt=0)
    """Seconds without a message from one of its callers, before the sound has ended, after which the call ends."""

    omniverse_host: str = "127.0.0.1"
    """Address on which the door for Omniverse Audio2Face's clients listens."""
    omniverse_sounds: tuple[str, ...] = ()
    """Folders below which that door reads sound, such as ``["/srv/voices"]``, beside the one that it writes to. None:
    on the loopback any that the gateway can read, else none."""

    avatars: Path | None = None
    """Folder in which avatars are kept, made where it is not there; none: this gateway has no avatars."""
    avatars_per_owner: int = Field(20, gt=0)
    """Of one owner: a token's name, or without names a ``user_id``."""
    avatar_bytes_per_owner: int = Field(512 * MIB, gt=0)
    """Of one owner's avatars together."""
    avatar_bytes: int = Field(8192 * MIB, gt=0)
    """Of all avatars together."""
    max_registrations: int = Field(8, gt=0)
    """Of avatars at once, waiting or computed; one more is told to come again."""
    max_videos: int = Field(8, gt=0)
    """Files at once, waiting or drawn; one more is told to come again."""
    max_video_s: float = Field(180.0, gt=0)
    """Seconds of one of them."""
    max_video_streams: int = Field(2, gt=0)
    """Live streams at once whose pictures are drawn here."""

    health_timeout_s: float = Field(10.0, gt=0)
    """Seconds that ``/health`` waits for a face."""
    ready_timeout_s: float = Field(0.5, gt=0)
    """Seconds that ``/health/ready`` waits for the face server."""

    @model_validator(mode="after")
    def _pairs(self) -> GatewaySettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together; accepted: both, or neither")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca is given without tls_cert; accepted: all three, the pair, or none")
        return self


def load_settings(**given: Any) -> GatewaySettings:
    """Return what is ``given``, else what the environment says, else the defaults.

    Raises:
        InvalidSettings: one of them cannot be.
    """
    try:
        return GatewaySettings(**given)
    except (ValidationError, SettingsError) as error:
        raise InvalidSettings(_reason(error)) from error


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"{error}; accepted: JSON"
    # Without the values: one of them is a secret.
    wrong = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong)
