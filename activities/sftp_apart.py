"""Files of one operation that fail by themselves: it is remembered, and the others go on."""

from collections.abc import Iterator
from contextlib import contextmanager

from activities.sftp_judge import PATIENCE, Refused
from activities.sftp_task import Task
from definitions.failure_policy import FailurePolicy
from definitions.sftp import FailedFile, SftpDownload
from net.redaction import LIVE_SECRETS
from net.sftp_errors import SftpError

OF_ONE_FILE = frozenset(
    {
        "already_exists",
        "bad_name",
        "bad_path",
        "checksum_mismatch",
        "failure",
        "no_space",
        "not_a_directory",
        "not_a_file",
        "not_found",
        "permission_denied",
        "source_changed",
        "too_large",
        "unsupported",
    }
)
"""All else is about the line, the account or the disk here."""
_PASSING = frozenset({"failure", "source_changed"})
"""What may be better at the next attempt."""


class Apart:
    """Of one attempt. An operation on a single file that is named fails with it, as ever."""

    def __init__(self, task: Task, operation: SftpDownload) -> None:
        self._task = task
        self._operation = operation
        self._many = operation.glob or len(operation.paths) > 1
        self._errors: dict[str, SftpError | Refused] = {}

    @contextmanager
    def of(self, path: str, *, first: bool = False) -> Iterator[None]:
        """What fails inside is this file's. `first`: nothing was done yet, so that what is named must all be there."""
        try:
            yield
        except (SftpError, Refused) as error:
            category = _category(error)
            if not self._many or category not in OF_ONE_FILE:
                raise
            if first and not self._operation.glob and category not in _PASSING and not self._task.progress.fetched:
                raise
            if category == "not_found" and self._operation.glob:
                self._task.notes.add(f"{path} is gone: somebody else has taken it away")
                return
            self._errors[path] = error

    def end(self) -> tuple[FailedFile, ...]:
        """When all others are done. Raises Refused, SftpError: what is left is to be tried, or decided about."""
        if not self._errors:
            return ()
        passing = sorted(_PASSING & {_category(error) for error in self._errors.values()})
        waited_for = [category for category in passing if not self._is_out_of_patience(category)]
        for error in self._errors.values():
            if waited_for and _category(error) == waited_for[0]:
                raise error
        if not self._task.progress.fetched or self._operation.on_failure is FailurePolicy.PARK:
            raise self._all()
        fetched = self._task.progress.fetched
        return tuple(
            FailedFile(
                path=path,
                category=_category(error),
                message=LIVE_SECRETS.scrub(str(error)),
                sha256=fetched[path].asset.sha256 if path in fetched else None,
            )
            for path, error in sorted(self._errors.items())
        )

    def _is_out_of_patience(self, category: str) -> bool:
        """What is named, or all there is, may grow for a long while; one of what a pattern finds can be had later."""
        progress = self._task.progress
        if category != "source_changed":
            over = progress.refusals + 1 >= PATIENCE  # it is counted where the error is told
            progress.refusals = 0 if over else progress.refusals
            return over
        if not self._operation.glob or not progress.fetched:
            return False
        progress.setbacks += 1
        over = progress.setbacks >= PATIENCE
        progress.setbacks = 0 if over else progress.setbacks  # who decides to try it again is as patient
        return over

    def _all(self) -> Refused:
        """One failure for all of them, as the first one is: patience with what may pass is at its end."""
        (_, first), *others = sorted(self._errors.items(), key=lambda item: _category(item[1]) in _PASSING)
        more = f"; {len(others)} more files failed: {', '.join(path for path, _ in others[:20])}" if others else ""
        action = first.action if isinstance(first, Refused) else None
        return Refused(_category(first), f"{first}{more}", action, times=PATIENCE)


def _category(error: SftpError | Refused) -> str:
    return error.category if isinstance(error, Refused) else error.code
