"""TLS contexts: one per set of options, because making one costs as much as thirty calls."""

import os
import ssl
import tempfile

import httpcore2

from net.errors import NetError
from net.messages import TlsOptions


def ssl_context(options: TlsOptions | None) -> ssl.SSLContext:
    """A verifying client context of at least TLS 1.2, over the system's certificate authorities or the given ones.

    Raises:
        NetError: `invalid_request`: a certificate or key cannot be read, or they do not belong together; `tls_failed`:
            the system's authorities cannot be read.
    """
    if options is None or options.ca_pem is None:
        context = _of_the_system()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, options.ca_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options is not None and options.client_certificate_pem is not None:
        _identify(context, options.client_certificate_pem, options.client_key_pem or b"")
    return context


def _of_the_system() -> ssl.SSLContext:
    try:
        return httpcore2.default_ssl_context()
    except OSError:
        fault = "the authorities that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"
        raise NetError("tls_failed", fault) from None


def _trust(context: ssl.SSLContext, pem: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise NetError("invalid_request", "tls.ca: cannot be read; expected certificates as PEM text") from None


def _identify(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """The ssl module reads files only, so the key passes through one that nobody else may read, gone at once."""
    descriptor, path = tempfile.mkstemp(prefix="tieline-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(path, password="")  # an empty password: never ask on the terminal
    except (ssl.SSLError, ValueError):
        fault = "cannot be read, are encrypted, or do not belong together"
        raise NetError("invalid_request", f"tls: the client certificate and its key {fault}") from None
    finally:
        os.unlink(path)
