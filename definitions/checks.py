"""What a model alone cannot see: do all the parts of an integration fit together?"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from definitions.auth import CustomTokenAuth
from definitions.auth.custom_token import MEANT
from definitions.integration import Integration
from definitions.templates import BUILT_IN, Template


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at a place such as `auth.place[0].value`."""

    place: str
    message: str
    near: str | None = None

    @property
    def path(self) -> tuple[str | int, ...]:
        """The place as keys and indexes."""
        parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", self.place)
        return tuple(int(index) if index else name for index, name in parts)


def faults_of(integration: Integration) -> Iterator[Fault]:
    """Everything that would fail, or silently do nothing, once a call is made."""
    yield from _unknown_placeholders(integration)
    yield from _hosts_without_pattern(integration)
    yield from _never_read(integration)
    yield from _clashing_names(integration)
    yield from _tls_secrets(integration)
    for name, parameter in integration.parameters.items():
        if (
            parameter.default is not None
            and parameter.pattern
            and not re.fullmatch(parameter.pattern, parameter.default)
        ):
            yield Fault(f"parameters.{name}.default", "does not match the parameter's own pattern")


def _unknown_placeholders(integration: Integration) -> Iterator[Fault]:
    for place, text, known in integration.templates():
        for name in sorted(Template.parse(text).names - known - BUILT_IN):
            near = get_close_matches(name, known, n=1)
            yield Fault(place, f"unknown placeholder {{{name}}}", f"{{{near[0]}}}" if near else None)


def _hosts_without_pattern(integration: Integration) -> Iterator[Fault]:
    """A token follows the host: a parameter that makes the host must be bound by a pattern."""
    for place, text, _ in integration.templates():
        if not (place == "base_url" or place.endswith("endpoint") or place == "auth.issuer"):
            continue
        host = text.partition("://")[2].partition("/")[0]
        for name in sorted(Template.parse(host).names):
            parameter = integration.parameters.get(name)
            if parameter is not None and parameter.pattern is None:
                yield Fault(f"parameters.{name}", f"stands in the host of {place}, so it needs a pattern")


def _never_read(integration: Integration) -> Iterator[Fault]:
    read = {name for _, text, _ in integration.templates() for name in Template.parse(text).names}
    for name in integration.parameters:
        if name not in read:
            yield Fault(f"parameters.{name}", "no input of the integration reads this parameter")
    tls = integration.tls
    read |= {tls.client_certificate_secret or "", tls.client_key_secret or ""} if tls else set()
    for name in integration.secrets:
        if name not in read:
            yield Fault(f"secrets.{name}", "no input of the integration reads this secret")
    if isinstance(integration.auth, CustomTokenAuth):
        for index, request in enumerate(integration.auth.requests):
            for name in request.capture:
                if name not in read | MEANT:
                    yield Fault(f"auth.requests[{index}].capture.{name}", "nothing reads this captured value")


def _clashing_names(integration: Integration) -> Iterator[Fault]:
    taken = set(integration.auth.secret_fields()) | set(integration.auth.provides())
    for group in ("parameters", "secrets"):
        for name in sorted(set(getattr(integration, group)) & (taken | BUILT_IN)):
            yield Fault(f"{group}.{name}", f"{name} already has a meaning here: choose another name")
    for name in sorted(set(integration.parameters) & set(integration.secrets)):
        yield Fault(f"parameters.{name}", "is a secret as well: choose another name")


def _tls_secrets(integration: Integration) -> Iterator[Fault]:
    tls = integration.tls
    if tls is None:
        return
    if bool(tls.client_certificate_secret) is not bool(tls.client_key_secret):
        yield Fault("tls", "a client certificate needs both client_certificate_secret and client_key_secret")
    for field in ("client_certificate_secret", "client_key_secret"):
        name = getattr(tls, field)
        if name and name not in integration.secrets:
            near = get_close_matches(name, integration.secrets, n=1)
            yield Fault(f"tls.{field}", f"secrets declares no {name}", near[0] if near else None)
