"""Fills templates, and watches for what comes of secrets: a provider may quote a digest as well as a password."""

from collections.abc import Mapping

from definitions.templates import Placeholder, Template
from net.redaction import LIVE_SECRETS


def fill(text: str, texts: Mapping[str, str]) -> str:
    """The template filled; what its filters make of a live secret is a live secret from now on.

    Raises:
        TemplateError: a placeholder without value and default.
    """
    return "".join(part if isinstance(part, str) else _filled(part, texts) for part in Template.parse(text).parts)


def _filled(placeholder: Placeholder, texts: Mapping[str, str]) -> str:
    value = placeholder.fill(texts)
    used = [texts[name] for name in placeholder.names & texts.keys()]
    if placeholder.filters and any(LIVE_SECRETS.knows(text) for text in used):
        LIVE_SECRETS.add(value)
    return value
