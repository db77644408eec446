"""What nobody sends by mistake: one record must not end every worker, one after the other."""

import pytest
from broker import topics
from queueing import Reader, nowhere, send, working
from raw_records import send_raw

pytestmark = pytest.mark.server


def test_a_header_whose_name_is_not_text_is_a_dead_letter(broker):
    queue = topics(broker, partitions=1)
    send_raw(broker.address, queue["requests"], b"unreadable", b"\xff\xfe")
    send(broker.address, queue["requests"], (b"no sound", None, []))
    with working(broker.address, queue, nowhere()), Reader(broker.address, queue, partitions=1) as reader:
        reader.await_(dead=2)
    (letter, headers), (_, after) = sorted(reader.dead, key=lambda one: one[1]["offset"])
    assert headers["error_class"] == b"InvalidHeaders"
    assert b"UTF-8" in headers["error"]
    assert letter.value() == b"unreadable"
    assert after["error_class"] == b"UnreadableAudio"
