"""Which lines of a file run, in whatever thread."""

import contextlib
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


@contextlib.contextmanager
def lines_run(file: Path) -> Iterator[set[int]]:
    """Collects line numbers, of threads that are started within the block, too."""
    seen: set[int] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != str(file):
            return None
        if event == "line":
            seen.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield seen
    finally:
        sys.settrace(before)
        threading.settrace(before)


def missed_lines(file: Path, seen: set[int], *, without: Collection[str] = ()) -> list[str]:
    """The lines of a file's functions, but for those of these names, that did not run."""
    code = file.read_text(encoding="utf-8")
    functions = [each for each in _functions(compile(code, str(file), "exec")) if each.co_name not in without]
    lines = {line for function in functions for line in _body(function)}
    return [f"{line}: {code.splitlines()[line - 1].strip()}" for line in sorted(lines - seen)]


def _functions(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if "__qualname__" not in constant.co_names:  # a class's body is no function
                yield constant
            yield from _functions(constant)


def _body(code: CodeType) -> set[int]:
    return {line for _, _, line in code.co_lines() if line is not None and line > code.co_firstlineno}
