"""Which names the files of one upload are to have, as far as that can be told before anything is asked or sent.

What only the account fills in is the same for all files of a run, so that two names can be compared without it.
"""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from definitions.templates import Template


@dataclass(frozen=True, slots=True)
class Sent:
    """One file: the template of its path, and what it is called; "" where nothing says that."""

    path: str
    name: str


def check_names(files: Sequence[Sent], *, checksum_file: bool, marker_file: str | None) -> None:
    """Raises ValueError: two files, checksums or markers of a run would have one name."""
    taken: set[str] = set()
    targets = [(file, _target(file)) for file in files if file.name]
    for file, target in targets:
        if target in taken:
            raise ValueError(f"two files of the run are to become {_shown(target, file.path)}")
        taken.add(target)
    for _, target in targets:
        for beside in _beside(target, checksum_file=checksum_file, marker_file=marker_file):
            if beside in taken:
                raise ValueError(
                    f"{_shown(beside, marker_file or 'NAME.sha256')}, a checksum or marker, has the name of another "
                    "file of the run"
                )
            taken.add(beside)


def _target(file: Sent) -> str:
    filled = _filled(file.path, file.name)
    return posixpath.normpath(f"{filled}{file.name}" if filled.endswith("/") else filled)


def _beside(target: str, *, checksum_file: bool, marker_file: str | None) -> Iterator[str]:
    folder, name = posixpath.split(target)
    if checksum_file:
        yield f"{target}.sha256"
    if marker_file is not None:
        filled = _filled(marker_file, name)
        marker = f"{filled}{name}" if filled.endswith("/") else filled
        yield posixpath.normpath(marker if "/" in marker_file else posixpath.join(folder, marker))


def _filled(template: str, name: str) -> str:
    """Below the root; each part that only the account can fill in is marked, and no part of a path by itself."""
    text = ""
    for part in Template.parse(template).parts:
        if isinstance(part, str):
            text += part
        elif part.names == {"name"}:
            text += part.fill({"name": name})
        else:
            unknown = (part, name) if "name" in part.names else (part,)
            text += f"\0{unknown!r}".replace("/", "\1")
    return text.lstrip("/")


def _shown(path: str, template: str) -> str:
    return template if "\0" in path else path
