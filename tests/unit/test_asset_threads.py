"""Work in threads, and who is cancelled while it is done."""

import asyncio
import threading

import pytest

from storage.assets.threads import in_thread, taken_from_thread


class Work:
    """Begins when a thread has it, and ends when it may."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.began, self.go_on = asyncio.Event(), threading.Event()
        self.left = False

    def __call__(self) -> str:
        self.loop.call_soon_threadsafe(self.began.set)
        self.go_on.wait(10)
        self.left = True
        return "an open file"


async def test_who_is_cancelled_leaves_only_when_the_thread_has() -> None:
    work = Work()
    task = asyncio.ensure_future(in_thread(work))
    await work.began.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.02)
    assert not done
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.left


@pytest.mark.parametrize("times", [1, 2])
async def test_what_nobody_takes_any_more_is_given_back(times: int) -> None:
    work, given_back = Work(), asyncio.Queue[str]()
    task = asyncio.ensure_future(taken_from_thread(work, given_back.put_nowait))
    await work.began.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(given_back.get(), 10) == "an open file"


async def test_what_was_ready_when_its_taker_was_cancelled_is_given_back() -> None:
    given_back: list[str] = []
    work = Work()
    others = asyncio.all_tasks()
    task = asyncio.ensure_future(taken_from_thread(work, given_back.append))
    await work.began.wait()
    (within,) = (each for each in asyncio.all_tasks() - others if "to_thread" in repr(each.get_coro()))
    within.add_done_callback(lambda _: task.cancel())
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert given_back == ["an open file"]


async def test_what_is_taken_is_not_given_back() -> None:
    given_back: list[str] = []
    assert await taken_from_thread(lambda: "an open file", given_back.append) == "an open file"
    assert given_back == []
