"""Worker processes: work that would hold the event loop is done beside it (docs/decisions/0027).

They start when they are first needed, and end with the process that started them, however that ends.
"""

import asyncio
import io
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from service.errors import WorkerLost, WorkersBusy

LARGE = 64 * 1024
"""From so many bytes on work is done in a worker: in the loop it would take some 20 ms or more."""
_NICENESS = 5
"""The event loop comes first where both want the processor."""

Context = TypeVar("Context")
Done = TypeVar("Done")

_context: Any = None


def default_number() -> int:
    """One processor is left to the event loop; more than two workers each hold the lists for little."""
    return max(1, min(2, (os.cpu_count() or 1) - 1))


class Pool(Generic[Context]):
    """The processes, which share work in the order it came. `context` is handed to each piece of work."""

    def __init__(self, number: int, context: Context) -> None:
        self._number = number
        self._context = context
        self._executor: ProcessPoolExecutor | None = None
        self.pending = 0

    async def __aenter__(self) -> "Pool[Context]":
        """Nothing is started yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the processes once what they are doing is done."""
        if self._executor is not None:
            await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    async def run(self, work: Callable[..., Done], *args: object) -> Done:
        """Have a worker do a piece of work; raises `WorkerLost` where the process ends before it is done."""
        executor = self._executor = self._executor or self._start()
        self.pending += 1
        try:
            # A worker is started by the work that it is needed for, which would hold the loop.
            done = await asyncio.to_thread(executor.submit, _do, work, args)
            return await asyncio.wrap_future(done)
        except BrokenProcessPool:
            if self._executor is executor:
                self._executor = None
            raise WorkerLost("a worker process ended before its work was done") from None
        finally:
            self.pending -= 1

    def _start(self) -> ProcessPoolExecutor:
        spawned = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._number, spawned, _begin, (self._context,))


@dataclass(frozen=True, slots=True)
class Workers(Generic[Context]):
    """The way to the pool. With `most_pending`, what finds so much before it is refused; else it waits."""

    pool: Pool[Context] = field(repr=False)
    most_pending: int | None = None

    async def run(self, work: Callable[..., Done], *args: object) -> Done:
        """Have a worker call `work(context, *args)`, all of which crosses between processes.

        Raises what the work raises, `WorkersBusy` where too much waits, and `WorkerLost`.
        """
        if self.most_pending is not None and self.pool.pending >= self.most_pending:
            raise WorkersBusy("too many large records are being read; try again later")
        return await self.pool.run(work, *args)


def pack(result: object, shared: object) -> bytes:
    """A result as bytes, in which `shared`, which both processes have, is only named."""
    packed = io.BytesIO()
    _Packer(packed, shared).dump(result)
    return packed.getvalue()


def unpack(packed: bytes, shared: object) -> Any:
    """What was packed by a worker of our own."""
    return _Unpacker(io.BytesIO(packed), shared).load()


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, shared: object) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._shared = shared

    def persistent_id(self, obj: object) -> str | None:
        """Name what is shared."""
        return "shared" if obj is self._shared else None


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: object) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: str) -> object:  # noqa: ARG002 - one thing is shared
        """What is shared, as this process has it."""
        return self._shared


def _begin(context: object) -> None:
    """Prepare a worker. The service that started it decides when it ends, not the terminal."""
    global _context  # noqa: PLW0603 - a worker is a process, and this is what it holds
    _context = context
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End at once when the service was killed: nobody waits for the work any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(work: Callable[..., Done], args: tuple[object, ...]) -> Done:
    return work(_context, *args)
