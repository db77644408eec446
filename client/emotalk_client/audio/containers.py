"""The kind of an audio file by its first bytes.

Rule that this module guards: **raw PCM is never taken for a container.** Only magic that sound would have to match over
several bytes counts; an mp3 or AAC stream without a tag, whose sync word is 12 bits, counts only if its whole header is
consistent and a second header follows exactly where the first frame ends.
"""

from __future__ import annotations

HEAD = 8192
"""Bytes of a file's beginning that :func:`container` wants to see; fewer are enough for all but bare mp3 and AAC."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1a\x45\xdf\xa3", "webm"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3\x02", "mp3"),
    (b"ID3\x03", "mp3"),
    (b"ID3\x04", "mp3"),
    (b"RF64", "wav"),
    (b"BW64", "wav"),
    (b"RIFX", "wav"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", "w64"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"caff\x00\x01", "caf"),
    (b".snd\x00\x00", "au"),
    (b"dns.", "au"),
    (b"#!AMR", "amr"),
    (b"MAC ", "ape"),
    (b"wvpk", "wavpack"),
    (b"TTA1", "tta"),
    (b"FLV\x01", "flv"),
    (b".RMF", "rm"),
    (b"Creative Voice File\x1a", "voc"),
)
_MATROSKA = b"matroska"
_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"styp", b"moof", b"wide", b"free", b"skip", b"sidx"}

_MP3_BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by (MPEG 1, layer) and the header's index from 1."""
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hertz by the header's version bits."""


def container(head: bytes) -> str | None:
    """Return the kind of the file that begins with ``head``, or None for what may be raw PCM.

    One of "wav", "w64", "aiff", "caf", "au", "flac", "ogg", "mp3", "aac", "webm", "mkv", "mp4", "avi", "asf", "amr",
    "ape", "wavpack", "tta", "flv", "rm", "voc".

    Args:
        head: the first bytes, best :data:`HEAD` of them. Eight zeros, say, are raw PCM; so are fewer bytes than the
            shortest magic.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return "mkv" if kind == "webm" and _MATROSKA in head[:64] else kind
    form = head[8:12]
    if head[:4] == b"RIFF" and form in (b"WAVE", b"AVI "):
        return "wav" if form == b"WAVE" else "avi"
    if head[:4] == b"FORM" and form in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    for kind, size_at in (("mp3", _mp3_frame), ("aac", _aac_frame)):
        size = size_at(head)
        if size and size_at(head[size:]):
            return kind
    return None


def _mp3_frame(head: bytes) -> int:
    """Return the bytes of the MPEG audio frame at the beginning of ``head``; 0 if there is not one."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer, index, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or index in (0, 15) or rate == 3 or head[3] & 3 == 2:
        return 0
    bits = _MP3_BITRATES[version == 3, layer][index - 1] * 1000
    hertz, padding = _MP3_RATES[version][rate], head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def _aac_frame(head: bytes) -> int:
    """Return the bytes of the ADTS frame at the beginning of ``head``; 0 if there is not one."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > 7 else 0
