"""Sound that a request only names.

Rule that this module guards: **a request fetches nothing that the operator did not name.** Files lie below a folder
that was named, after links are followed; addresses have a host, or a bucket, that was named, and so have those that
they lead on to. Nothing is read beyond its limit.
"""

from __future__ import annotations

import io
import math
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import SplitResult, unquote, urlsplit

from emotalk_client.errors import MissingExtra
from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import GatewayError, PassesByItself, UploadTooLarge

REFERENCE = re.compile(rb"(?:s3|https|file)://[^\s\x00-\x1f]{1,2000}\s{0,2}")
BLOCK = 1 << 20
LONGEST_KEY = 1024
"""Bytes of an object's name, which is the protocol's limit."""
MAX_REDIRECTS = 5
PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses that may be better the next time."""


class InvalidReference(GatewayError):
    """A reference to what was not named, or to nothing."""


class ReferenceUnavailable(PassesByItself):
    """A host that does not answer now, or says that it cannot."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Sources that requests may name."""

    folders: tuple[Path, ...] = ()
    hosts: frozenset[str] = frozenset()
    """``host`` or ``host:port``."""
    buckets: frozenset[str] = frozenset()
    timeout_s: float = 30.0
    """Of a connection, and of each read."""
    whole_s: float = 300.0
    """Of all reads: a host that gives a byte now and then holds nobody for ever."""
    ca_file: str | None = None
    """Certificates of hosts beside the system's."""


def is_reference(value: bytes) -> bool:
    """True for a value that names its sound."""
    return REFERENCE.fullmatch(value) is not None


def fetched(value: bytes, allowed: Allowed, max_bytes: int) -> BinaryIO:
    """Return what ``value`` names.

    Raises:
        InvalidReference: it may not be fetched, or there is not such a thing.
        UploadTooLarge: it has more than ``max_bytes`` bytes.
        ReferenceUnavailable: its host cannot give it now.
        MissingExtra: buckets need a library that is not installed.
    """
    url = value.decode("utf-8", "replace").strip()
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").lower()
        host = name if parts.port in (None, 443) else f"{name}:{parts.port}"
    except ValueError as error:
        raise InvalidReference(f"{quoted(url)} is not an address") from error
    if parts.scheme == "file":
        return _file(parts, url, allowed, max_bytes)
    if parts.scheme == "s3":
        return _object(parts, url, allowed, max_bytes)
    _check_host(host, url, allowed)
    return _page(url, allowed, max_bytes)


def _file(parts: SplitResult, url: str, allowed: Allowed, max_bytes: int) -> BinaryIO:
    if parts.netloc not in ("", "localhost"):
        raise InvalidReference(f"{quoted(url)} is on another machine; accepted: file:///PATH")
    try:
        path = Path(unquote(parts.path)).resolve(strict=False)
        if not any(path.is_relative_to(folder.resolve()) for folder in allowed.folders):
            named = ", ".join(map(str, allowed.folders)) or "none, for no folder was named"
            raise InvalidReference(f"{quoted(url)} may not be read; accepted: files below {named}")
        if not path.is_file():
            raise InvalidReference(f"{quoted(url)} is not a file")
        with path.open("rb") as file:
            return _within(iter(lambda: file.read(BLOCK), b""), url, max_bytes)
    except (OSError, ValueError) as error:
        raise InvalidReference(f"{quoted(url)} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _check_host(host: str, url: str, allowed: Allowed) -> None:
    if host not in allowed.hosts:
        named = ", ".join(sorted(allowed.hosts)) or "none, for no host was named"
        raise InvalidReference(f"{quoted(url)} is at {quoted(host)}; accepted hosts: {named}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to hosts that were named, over https only."""

    max_redirections = MAX_REDIRECTS

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed

    def redirect_request(  # the signature is the library's
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        parts = urlsplit(newurl)
        name = (parts.hostname or "").lower()
        if parts.scheme != "https":
            raise InvalidReference(f"it leads on to {quoted(newurl)}; accepted: https")
        _check_host(name if parts.port in (None, 443) else f"{name}:{parts.port}", newurl, self._allowed)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _page(url: str, allowed: Allowed, max_bytes: int) -> BinaryIO:
    import ssl

    context = ssl.create_default_context(cafile=allowed.ca_file)
    opener = urllib.request.build_opener(_Redirects(allowed), urllib.request.HTTPSHandler(context=context))
    try:
        with closing(opener.open(url, timeout=allowed.timeout_s)) as answer:
            found = _within(iter(lambda: answer.read1(BLOCK), b""), url, max_bytes, allowed.whole_s)
            if answer.length:  # the library takes a body that was cut off for a whole one
                raise ReferenceUnavailable(f"{quoted(url)} was cut off {answer.length} bytes before its end")
            return found
    except urllib.error.HTTPError as error:
        error.close()
        kind = ReferenceUnavailable if error.code in PASSING else InvalidReference
        raise kind(f"{quoted(url)} was answered with {error.code}") from error
    except (InvalidURL, ValueError) as error:
        raise InvalidReference(f"{quoted(url)} is not an address") from error
    except (OSError, HTTPException) as error:
        raise ReferenceUnavailable(f"{quoted(url)} cannot be fetched now: {error}") from error


def _object(parts: SplitResult, url: str, allowed: Allowed, max_bytes: int) -> BinaryIO:
    if parts.netloc not in allowed.buckets:
        named = ", ".join(sorted(allowed.buckets)) or "none, for no bucket was named"
        raise InvalidReference(f"{quoted(url)} is in {quoted(parts.netloc)}; accepted buckets: {named}")
    key = unquote(parts.path.lstrip("/"))
    if not 0 < len(key.encode("utf-8", "replace")) <= LONGEST_KEY:
        raise InvalidReference(f"{quoted(url)} names no object; accepted: s3://BUCKET/KEY, {LONGEST_KEY} bytes of key")
    boto3 = buckets_library()
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        answer = boto3.client("s3").get_object(Bucket=parts.netloc, Key=key)
        return _within(answer["Body"].iter_chunks(BLOCK), url, max_bytes, allowed.whole_s)
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        kind = ReferenceUnavailable if status in PASSING else InvalidReference
        raise kind(f"{quoted(url)} was answered with {status}") from error
    except ParamValidationError as error:
        raise InvalidReference(f"{quoted(url)} is not an address") from error
    except BotoCoreError as error:
        raise ReferenceUnavailable(f"{quoted(url)} cannot be fetched now: {error}") from error


def buckets_library() -> Any:
    """Return boto3.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import boto3
    except ImportError as error:
        raise MissingExtra("references to buckets need boto3; install `emotalk-triton[s3]`") from error
    return boto3


def _within(pieces: Iterator[bytes], url: str, max_bytes: int, whole_s: float = math.inf) -> BinaryIO:
    found = io.BytesIO()
    deadline = time.monotonic() + whole_s
    for piece in pieces:
        found.write(piece)
        if time.monotonic() > deadline:
            raise ReferenceUnavailable(f"{quoted(url)} did not come within {whole_s:g} s")
        if found.tell() > max_bytes:
            raise UploadTooLarge(f"{quoted(url)} has more than {max_bytes} bytes; accepted: {max_bytes}")
    found.seek(0)
    return found
