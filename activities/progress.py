"""How far an attempt has got: what it tells Temporal while it works, and what the next one reads.

Temporal hands it back as plain JSON values, so it is read here, by hand; what cannot be read is as if nothing was told,
which costs time and never a file.
"""

import base64
import re
import zlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError

from definitions.asset import Asset
from definitions.base import Model
from definitions.sftp import Transferred

MAX_BEGUN = 1000
"""Some days of attempts, 11 bytes each. Only where servers hide what was sent is anything left of the older ones."""


class Phase(StrEnum):
    """Of one file."""

    WRITING = "writing"
    """Nothing has its final name yet, or (without rename) all that has is ours."""
    PUBLISHING = "publishing"
    """All is written and compared; it may have its final name."""
    COMMITTED = "committed"
    """Downloaded: the asset is safe, and the source may be gone."""


class Seen(Model):
    """What a file on the server was when it was looked at: enough to know it again."""

    kind: str
    size: int | None = None
    modified: float | None = None


class Piece(Model):
    """What one attempt has sent, from the end of the piece before on."""

    end: int
    sha256: str


class FileProgress(Model):
    """One file under way."""

    phase: Phase
    part: str = Field(default="", description="The attempt whose unfinished file this is about")
    offset: int = Field(default=0, ge=0, description="Bytes from the first on that the server has acknowledged")
    size: int | None = None
    validator: str | None = Field(default=None, description="The same for as long as an HTTP source is unchanged")
    sha256: str | None = None
    resumed_from: int = 0
    verified: str | None = None
    pieces: tuple[Piece, ...] = Field(
        default=(), description="Up to `offset`, where nobody knows the hash of the source before all of it was read"
    )


class Aside(Model):
    """A file that makes way for another one, on a server that replaces none in one step. Paths are the server's."""

    index: int = Field(description="Of the operation's file that replaces it")
    shown: str = Field(description="Its name, as people know it")
    path: str = Field(description="Where it stands until the other one has that name")
    new: str = Field(description="Where the other one stands until then")
    size: int | None = Field(default=None, description="The other one's")
    unfinished: bool = Field(default=True, description="The other one is not to stay where it stands")


class Attested(Model):
    """A file that a checksum stands beside, or may stand, before it has its name. The path is the server's."""

    path: str
    sha256: str
    size: int


class Fetched(Model):
    """One file that was downloaded; `ended` when its source is dealt with, too."""

    path: str
    asset: Asset
    source: Seen
    resumed_from: int = 0
    ended: bool = False

    def without_source(self) -> "Fetched":
        """Nobody asks what it was once it is dealt with."""
        return self.model_copy(update={"source": Seen(kind=self.source.kind)})


PACK = 100
"""Settled files that are compressed together."""


class Settled(Model):
    """Files that nothing is left to do for: a result wants to tell of them, an attempt does not look at them again."""

    results: dict[int, Transferred] = Field(default_factory=dict)
    fetched: tuple[Fetched, ...] = ()


class Told(Model):
    """All of it, as Temporal keeps it."""

    done: str = Field(default="", description="Indexes of files, as in 0-12,14")
    results: dict[int, Transferred] = Field(
        default_factory=dict, description="Of those whose result says more than the usual"
    )
    files: dict[int, FileProgress] = Field(default_factory=dict)
    fetched: tuple[Fetched, ...] = ()
    setbacks: int = Field(default=0, description="Times that a transfer had to begin anew")
    refusals: int = Field(default=0, description="Times that the server failed without a reason, or broke the protocol")
    fruitless: int = Field(default=0, description="The last attempts in a row that brought nothing")
    begun: tuple[str, ...] = Field(default=(), description="Attempts that may have written files, the newest last")
    settled: tuple[str, ...] = Field(default=(), description="Those of the two that are settled, compressed")
    source: Seen | None = Field(default=None, description="What is moved or deleted, as it was before")
    aside: dict[str, Aside] = Field(default_factory=dict, description="What makes way, by the path that it had")
    attested: dict[int, Attested] = Field(default_factory=dict)


class Moved(Model):
    """How far a transfer is, for whoever watches it. `total` None: nobody knows how much there is."""

    done: int
    total: int | None
    unit: Literal["bytes", "files"]


def moved(told: Told, files: int | None) -> Moved | None:
    """In bytes of the one file, or in files of several; None where nothing is told. `files`: how many there are."""
    if files != 1:
        progress = Progress(told)
        return Moved(done=len(progress.done) + len(progress.fetched), total=files, unit="files")
    for each in told.files.values():
        return Moved(done=each.offset, total=each.size, unit="bytes")
    return None


class Progress:
    """The same while it changes."""

    def __init__(self, told: Told | None = None) -> None:
        """Raises ValueError."""
        told = told or Told()
        self.done = parse_ranges(told.done)
        self.results = dict(told.results)
        self.files = dict(told.files)
        self.fetched = {each.path: each for each in told.fetched}
        self.setbacks = told.setbacks
        self.refusals = told.refusals
        self.fruitless = told.fruitless
        self.counted = False
        self.received = 0
        """Bytes that this attempt has fetched."""
        # Before attempts were told apart they all wrote to the same name.
        self.begun = told.begun or (("",) if told.files else ())
        for settled in map(_unpacked, told.settled):
            self.results |= settled.results
            self.fetched |= {each.path: each for each in settled.fetched}
        self._packs: list[str] = []
        self._in_packs: set[int | str] = set()
        self.source = told.source
        self.aside = dict(told.aside)
        self.attested = dict(told.attested)
        self._at_first = self._position()

    def count(self, *, lost: bool) -> None:
        """An attempt that is to be followed by another is over; `lost`: the reason lay not in what was transferred."""
        brought = self.received > 0 or self._position() > self._at_first
        self.fruitless, self.counted = (0 if lost and brought else self.fruitless + 1), True

    def _position(self) -> tuple[int, int]:
        return len(self.done) + len(self.fetched), sum(each.offset for each in self.files.values())

    def told(self) -> Told:
        """What the next attempt needs."""
        return Told(
            done=format_ranges(self.done),
            files=dict(self.files),
            fetched=tuple(each for each in self.fetched.values() if not each.ended),
            setbacks=self.setbacks,
            refusals=self.refusals,
            fruitless=self.fruitless,
            begun=self.begun,
            settled=self._settled(),
            source=self.source,
            aside=dict(self.aside),
            attested=dict(self.attested),
        )

    def begin(self, attempt: str) -> None:
        """This attempt writes files from now on."""
        if attempt not in self.begun:
            self.begun = (*self.begun, attempt)[-MAX_BEGUN:]

    def _settled(self) -> tuple[str, ...]:
        """A pack that is full is not made again: what is told often would take most of the time of small files."""
        results = {index: each for index, each in self.results.items() if index not in self._in_packs}
        ended = {path: each for path, each in self.fetched.items() if each.ended and path not in self._in_packs}
        if not results and not ended:
            return tuple(self._packs)
        fetched = tuple(each.without_source() for each in ended.values())
        pack = _packed(Settled(results=results, fetched=fetched))
        if len(results) + len(ended) >= PACK:
            self._packs.append(pack)
            self._in_packs.update(results, ended)
            return tuple(self._packs)
        return (*self._packs, pack)

    def end(self, index: int, result: Transferred | None) -> None:
        """A file is done; `result` only where it says more than what follows from the operation."""
        self.files.pop(index, None)
        self.attested.pop(index, None)
        self.done.add(index)
        if result is not None:
            self.results[index] = result


def read_progress(details: Sequence[Any]) -> Progress:
    """From the heartbeat of the attempt before."""
    if not details:
        return Progress()
    try:
        return Progress(Told.model_validate(details[0]))
    except (ValidationError, ValueError):
        return Progress()


_HASH = re.compile(rb"[0-9a-f]{64}")
_HASH_HERE = b"\0"
"""Stands in no JSON by itself."""


def _packed(settled: Settled) -> str:
    """As text, because it travels in JSON. A thousand files take some 55 KB so, and five times that as they are, which
    would go into a file beside the history with every heartbeat. Hashes are apart: they cannot be compressed."""
    raw = settled.model_dump_json(exclude_defaults=True).encode()
    hashes = b"".join(_HASH.findall(raw)).decode()
    return base64.b85encode(zlib.compress(_HASH.sub(_HASH_HERE, raw)) + bytes.fromhex(hashes)).decode()


def _unpacked(text: str) -> Settled:
    """Raises ValueError."""
    unpack = zlib.decompressobj()
    try:
        first, *others = unpack.decompress(base64.b85decode(text)).split(_HASH_HERE)
    except zlib.error:
        raise ValueError("what is settled cannot be read") from None
    hashes = [unpack.unused_data[at : at + 32].hex() for at in range(0, len(unpack.unused_data), 32)]
    rest = (sha256.encode() + part for sha256, part in zip(hashes, others, strict=True))
    return Settled.model_validate_json(b"".join((first, *rest)))


def format_ranges(indexes: Iterable[int]) -> str:
    """`0-12,14`."""
    ranges: list[list[int]] = []
    for index in sorted(indexes):
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def parse_ranges(text: str) -> set[int]:
    """Raises ValueError."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
