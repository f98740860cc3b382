"""Whom an account's connections trust, and with which certificate they show themselves."""

from collections.abc import Mapping

from auth.secret import Secret
from definitions.integration import Integration
from net.messages import TlsOptions


def tls_options(integration: Integration, secrets: Mapping[str, Secret]) -> TlsOptions | None:
    """The certificate authority, the integration's or the account's own, and the account's client certificate."""
    tls = integration.tls
    if tls is None:
        return None
    certificate, key = _pem(secrets, tls.client_certificate_secret), _pem(secrets, tls.client_key_secret)
    return TlsOptions(
        ca_pem=_pem(secrets, tls.ca_secret) or tls.ca,
        client_certificate_pem=certificate.encode() if certificate else None,
        client_key_pem=key.encode() if key else None,
    )


def _pem(secrets: Mapping[str, Secret], name: str | None) -> str | None:
    secret = secrets.get(name) if name else None
    return secret.reveal() if secret else None
