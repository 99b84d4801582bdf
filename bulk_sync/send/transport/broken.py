"""Explain failed and broken connections, from the errors of OpenSSL and the system."""

from __future__ import annotations

import errno
import socket
import ssl

from bulk_sync.send.transport.interface import Failure


def broken(error: Exception, where: str) -> str:
    """Describe why an open connection broke."""
    reasons = (cause.reason for cause in _causes(error) if isinstance(cause, ssl.SSLError))
    return f"the connection to {where} broke ({next(reasons, None) or type(error).__name__})"


_NO_COMMON_VERSION = "it accepts no version of TLS from 1.2 on; check --base-url"
# OpenSSL's reasons when a server speaks no TLS, or no version of ours. They don't go away; any
# other may be a restart.
_NO_TLS_IN_COMMON = {
    "WRONG_VERSION_NUMBER": "it does not answer in TLS; check the port in --base-url",
    "UNSUPPORTED_PROTOCOL": _NO_COMMON_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_COMMON_VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it accepts none of our ciphers; check --base-url",
}

_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's codes for a certificate's dates (X509_V_ERR_..., x509_vfy.h)."""


def not_connected(error: Exception, where: str) -> Failure:
    """Return the failure to connect to `where`."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = (cause.verify_message or "it was refused").rstrip(".")
            if cause.verify_code in {_NOT_YET_VALID, _EXPIRED}:
                reason += ", according to this machine's clock"
            return Failure(
                "connection",
                f"the certificate of {where} can't be trusted: {reason}",
                may_have_arrived=False,
                hopeless=True,
            )
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or "the connection broke"
            return Failure(
                "connection",
                f"no TLS connection to {where}: {_NO_TLS_IN_COMMON.get(reason, reason)}",
                may_have_arrived=False,
                hopeless=reason in _NO_TLS_IN_COMMON,
            )
        if isinstance(cause, socket.gaierror):
            gone = cause.errno == socket.EAI_NONAME
            why = (
                "no server has this name; check --base-url and the network"
                if gone
                else "the name can't be looked up; check the network"
            )
            return Failure(
                "connection",
                f"no host was found for {where}: {why}",
                may_have_arrived=False,
                hopeless=gone,
            )
        if isinstance(cause, ConnectionRefusedError):
            return Failure("connection", f"{where} refuses connections", may_have_arrived=False)
        if isinstance(cause, OSError) and cause.errno in {errno.EMFILE, errno.ENFILE}:
            return Failure(
                "connection",
                f"no connection to {where}: too many open files",
                may_have_arrived=False,
            )
    return Failure("connection", f"no connection to {where}: {error}", may_have_arrived=False)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and all its causes; anyio groups the errors of several addresses."""
    found: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or current in found:
            continue
        found.append(current)
        queue += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            queue += current.exceptions
    return found
