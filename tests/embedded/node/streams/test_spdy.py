"""SPDY frames as kubectl's library writes them."""

import zlib

import pytest

from flowdeck.embedded.node.streams.spdy import DICTIONARY, Data, Framer, GoneAway, Opened, Ping, Reset, SpdyError


def test_the_dictionary_is_the_protocols() -> None:
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_frames_survive_being_cut_anywhere() -> None:
    writer, reader = Framer(), Framer()
    sent = writer.open(1, {"streamType": "error"}) + writer.open(3, {"streamType": "data"})
    sent += writer.data(3, b"abc") + writer.data(3, b"", is_last=True) + writer.ping(7) + writer.reset(1)
    got = [frame for i in range(len(sent)) for frame in reader.receive(sent[i : i + 1])]
    assert got == [
        Opened(1, {"streamtype": "error"}),
        Opened(3, {"streamtype": "data"}),
        Data(3, b"abc"),
        Data(3, b"", is_last=True),
        Ping(7),
        Reset(1),
    ]


def test_a_settings_frame_is_passed_over_and_goaway_told() -> None:
    settings = b"\x80\x03\x00\x04\x00\x00\x00\x04\x00\x00\x00\x00"
    goaway = b"\x80\x03\x00\x07\x00\x00\x00\x08" + bytes(8)
    assert list(Framer().receive(settings + goaway)) == [GoneAway()]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x03\x00\x01\x00\x00\x00\x02xx",
        b"\x80\x03\x00\x01\x00\x00\x00\x0c" + bytes(10) + b"xx",
        b"\x00\x00\x00\x01\x00\xff\xff\xff",
    ],
)
def test_what_breaks_the_protocol_is_told(raw: bytes) -> None:
    with pytest.raises(SpdyError):
        list(Framer().receive(raw))


def test_headers_that_would_unpack_without_end_are_refused() -> None:
    bomb = Framer().open(1, {"a": "x" * 1_000_000})
    with pytest.raises(SpdyError, match="too long"):
        list(Framer().receive(bomb))
