"""Accept heads that RFC 9112 lets a client accept, and that httptools refuses. Does no I/O.

h11, and so the httpx transport, accepts LF alone as a line end (RFC 9112, section 2.2), headers
folded over several lines (section 5.2) and a repeated `Content-Length` of one value (RFC 9110,
section 8.6). It also keeps control characters in values. httptools can't, or only with leniencies
that also admit what smuggles a reply into the next one. So these heads, and nothing else, are
written again as it takes them.
"""

from __future__ import annotations

import re

_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)(?: [^\0\r]*)?")
_BEGINNING = b"HTTP/1."
_SWITCHING_PROTOCOLS = b"101"
_CONTROLS = bytes(code for code in (*range(1, 32), 127) if chr(code) not in "\t\n\r\v\f")
_AS_BLANKS = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))


def rewritten(received: bytes) -> bytes | None:
    """Return what arrived of a reply, with a head of CRLF lines, and without interim replies.

    Empty while the head is not whole; None when it can't become one.
    """
    while True:
        if not _BEGINNING.startswith(received[: len(_BEGINNING)]):
            return None
        first, is_whole, _ = received.partition(b"\n")
        status = _STATUS_LINE.fullmatch(first.removesuffix(b"\r"))
        if is_whole and status is None:
            return None
        end = _HEAD_END.search(received)
        if status is None or end is None:
            return b""
        if status[1] >= b"200" or status[1] == _SWITCHING_PROTOCOLS:
            head = b"\r\n".join(_lines(received[: end.start()]))
            return b"%b\r\n\r\n%b" % (head, received[end.end() :])
        received = received[end.end() :]


def _lines(head: bytes) -> list[bytes]:
    """Return the lines of a head, unfolded, with one `Content-Length` if all have one value."""
    lines: list[bytes] = []
    for line in head.split(b"\n"):
        plain = line.removesuffix(b"\r")
        if plain[:1] in {b" ", b"\t"} and len(lines) > 1:  # the status line can't be folded
            lines[-1] += b" " + plain.lstrip(b" \t").translate(_AS_BLANKS)
        else:
            lines.append(plain.translate(_AS_BLANKS))
    lengths = [line for line in lines if _is_length(line)]
    values = {
        part.strip(b" \t") for line in lengths for part in line.partition(b":")[2].split(b",")
    }
    if len(values) != 1:
        return lines  # httptools refuses two that differ
    others = [line for line in lines if not _is_length(line)]
    return [*others, b"Content-Length: " + values.pop()]


def _is_length(line: bytes) -> bool:
    return line[:15].lower() == b"content-length:"
