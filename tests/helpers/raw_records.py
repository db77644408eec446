"""Records as no Python library writes them: librdkafka itself takes any bytes as the name of a header."""

import ctypes
from pathlib import Path

import confluent_kafka

TOPIC, PARTITION, VALUE, FLAGS, HEADER = 1, 3, 4, 7, 9
COPY, PRODUCER, WAIT_MS = 2, 0, 10_000


class _Bytes(ctypes.Structure):
    _fields_ = [("start", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p), ("size", ctypes.c_ssize_t)]


class _Union(ctypes.Union):
    _fields_ = [
        ("text", ctypes.c_char_p),
        ("number", ctypes.c_int),
        ("bytes", _Bytes),
        ("header", _Header),
        ("room", ctypes.c_char * 64),
    ]


class _Part(ctypes.Structure):
    """``rd_kafka_vu_t`` of rdkafka.h."""

    _fields_ = [("kind", ctypes.c_int), ("of", _Union)]


def send_raw(address, topic, value, header_name, partition=0):
    """Write a record with a header whose name is ``header_name``, in bytes."""
    (path,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka-*")
    library = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_produceva"):
        getattr(library, name).restype = ctypes.c_void_p
    said = ctypes.create_string_buffer(256)
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    assert library.rd_kafka_conf_set(settings, b"bootstrap.servers", address.encode(), said, 256) == 0
    producer = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, settings, said, 256))
    parts = (_Part * 5)(
        _Part(TOPIC, _Union(text=topic.encode())),
        _Part(PARTITION, _Union(number=partition)),
        _Part(FLAGS, _Union(number=COPY)),
        _Part(VALUE, _Union(bytes=_Bytes(value, len(value)))),
        _Part(HEADER, _Union(header=_Header(header_name, b"1", 1))),
    )
    assert library.rd_kafka_produceva(producer, parts, ctypes.c_size_t(len(parts))) is None
    assert library.rd_kafka_flush(producer, WAIT_MS) == 0
    library.rd_kafka_destroy(producer)
