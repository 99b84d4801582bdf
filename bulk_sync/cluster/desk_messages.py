"""Questions of a worker to the plugin of its scheduler, and the answers, as bytes. Pure.

No instant of a clock crosses, because clocks need not agree: instants in a question are seconds
from the moment of asking, those in an answer from the moment of answering. `Answered.at` alone is
an instant, of the scheduler's clock, for `dating`. A key crosses as its fingerprint.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from bulk_sync.send.permits import Answer, Request

HANDLER = "bulk_sync_desk"
"""The operation of a scheduler that takes a question and returns a reply."""


class Acquire(Struct, frozen=True, tag=True):
    """A holder, by its random token, wants a job."""

    job: str
    holder: str
    worker: str


class Renew(Struct, frozen=True, tag=True):
    """A holder goes on."""

    epoch: str
    job: str
    number: int


class Release(Struct, frozen=True, tag=True):
    """A holder is done."""

    epoch: str
    job: str
    number: int


class Ask(Struct, frozen=True, tag=True):
    """A holder wants permits for a base URL and the key with this fingerprint.

    `first` is the number of the first observation in the request, of all those of `source`.
    """

    epoch: str
    job: str
    number: int
    base_url: str
    key: str
    source: str
    first: int
    request: Request


class Leased(Struct, frozen=True, tag=True):
    """The job is the holder's. `epoch` identifies this life of the scheduler's plugin."""

    epoch: str
    number: int


class Taken(Struct, frozen=True, tag=True):
    """Another worker has the job; None if the lease has ended and nobody has it."""

    worker: str | None


class Restarted(Struct, frozen=True, tag=True):
    """The plugin that gave the lease is gone, with all that it knew."""


class Done(Struct, frozen=True, tag=True):
    """The lease was renewed or released."""


class Answered(Struct, frozen=True, tag=True):
    """The answer to `Ask`, given at an instant of the scheduler's monotonic clock."""

    at: float
    answer: Answer


Question = Acquire | Renew | Release | Ask
Reply = Leased | Taken | Restarted | Done | Answered

_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_encoder = msgspec.msgpack.Encoder()


def encoded(message: Question | Reply) -> bytes:
    """Return a message as bytes."""
    return _encoder.encode(message)


def question_of(data: bytes) -> Question:
    """Return a question from bytes; raises msgspec.MsgspecError for anything else."""
    return _questions.decode(data)


def reply_of(data: bytes) -> Reply:
    """Return a reply from bytes; raises msgspec.MsgspecError for anything else."""
    return _replies.decode(data)
