"""Worker processes: work that would hold the event loop is done beside it (docs/decisions/0028).

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import LifoQueue
from typing import Any, Generic, TypeVar

from service.errors import WorkerLost, WorkersBusy

LARGE = 64 * 1024
"""From so many bytes on work is done in a worker: in the loop it would take some 20 ms or more."""
LONGEST_SECONDS = 180.0
"""How long a piece of work may take: about three times what the largest record that is read takes."""
_NICENESS = 5
"""The event loop comes first where both want the processor."""

Context = TypeVar("Context")
Done = TypeVar("Done")


def default_number() -> int:
    """One processor is left to the event loop; more than two workers each hold the lists for little."""
    return max(1, min(2, (os.cpu_count() or 1) - 1))


class Pool(Generic[Context]):
    """The processes, which share work in the order it came. `context` is handed to each piece of work."""

    def __init__(self, number: int, context: Context) -> None:
        self._workers = [_Worker(context) for _ in range(number)]
        self._free: LifoQueue[_Worker] = LifoQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(number, "worker")
        self.pending = 0

    async def __aenter__(self) -> "Pool[Context]":
        """Nothing is started yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the processes: nobody waits any more for what they are doing."""
        await asyncio.to_thread(self._end)

    async def run(self, work: Callable[..., Done], *args: object) -> Done:
        """Have a worker do a piece of work.

        Raises `WorkerLost` where the process ends before it is done, or is ended because it takes too long.
        """
        self.pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._do, work, args)
        finally:
            self.pending -= 1

    # The rest of the class runs in threads.

    def _do(self, work: Callable[..., Done], args: tuple[object, ...]) -> Done:
        asked = pickle.dumps((work, args), pickle.HIGHEST_PROTOCOL)
        worker = self._free.get()
        try:
            answer = worker.do(asked)
        finally:
            self._free.put(worker)
        done, error = pickle.loads(answer)  # noqa: S301 - of a process of our own
        if error is not None:
            raise error
        result: Done = done
        return result

    def _end(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.end()
        self._threads.shutdown()


class _Worker:
    """A place for a process, which is started when there is work for it, and does one piece at a time."""

    def __init__(self, context: object) -> None:
        self._context = context
        self._seconds = LONGEST_SECONDS
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection
        self._starting = threading.Lock()
        self._ended = False

    def do(self, asked: bytes) -> bytes:
        """The answer of the process. Raises `WorkerLost`; then the next work has another process."""
        try:
            self._start()
            self._connection.send_bytes(asked)
            if self._connection.poll(self._seconds):
                return self._connection.recv_bytes()
            why = f"did not end its work within {self._seconds:g} seconds"
        except (EOFError, OSError):
            why = "ended before its work was done"
        self._kill()
        raise WorkerLost(f"a worker process {why}")

    def end(self) -> None:
        """End the process in the middle of what it does, and start no other."""
        with self._starting:
            self._ended = True
            self._kill()

    def _start(self) -> None:
        with self._starting:
            if self._ended:
                raise WorkerLost("the service stops")
            if self._process is None:
                # Over a pipe: a queue needs semaphores, of which a killed service leaves a word in its log.
                spawned = multiprocessing.get_context("spawn")
                self._connection, theirs = spawned.Pipe()
                process = spawned.Process(target=_serve, args=(theirs, self._context), daemon=True)
                process.start()
                theirs.close()
                self._process = process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()


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


def _serve(connection: Connection, context: object) -> None:
    """Do what is asked, one after the other. The service decides when this process ends, not the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_answer(connection.recv_bytes(), context))


def _answer(asked: bytes, context: object) -> bytes:
    """What a piece of work gives, or raises; an error that cannot cross between processes is named."""
    try:
        work, args = pickle.loads(asked)  # noqa: S301 - of the process that started this one
        return pickle.dumps((work(context, *args), None), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the work was asked for
        with suppress(Exception):
            return pickle.dumps((None, error), pickle.HIGHEST_PROTOCOL)
        return pickle.dumps((None, RuntimeError(type(error).__name__)))


def _end_with_parent() -> None:
    """End at once when the service was killed: nobody waits for the work any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
