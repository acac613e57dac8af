"""What this process has taken from the queue: the jobs it has, and the events that rely on them."""

from collections.abc import Iterable

from service.queue.tries import Task


class Claims:
    """The jobs that this process has, and the events that were left out because one of them will see them.

    A job that is taken and has not begun will read the record after such an event. Where it never begins,
    because the process lost its place in the queue, the event needs a job of its own.
    """

    def __init__(self) -> None:
        self._held: list[str] = []
        self._waiting: set[str] = set()
        self._relying: dict[str, Task] = {}

    def take(self, job_id: str, key: str) -> None:
        """A job was taken and waits for its turn here."""
        self._held.append(job_id)
        self._waiting.add(key)

    def begin(self, key: str) -> None:
        """A job begins: it sees what came so far, and nothing that comes later."""
        self._waiting.discard(key)
        self._relying.pop(key, None)

    def leave(self, job_id: str, key: str) -> None:
        """A job ended here, or was given up."""
        self._held.remove(job_id)
        self._waiting.discard(key)

    def holds(self, job_id: str) -> bool:
        """Whether this process has a job."""
        return job_id in self._held

    def covers(self, task: Task) -> bool:
        """Whether a job that has not begun will see an event; if so, the event relies on it."""
        if task.key not in self._waiting:
            return False
        self._relying[task.key] = task
        return True

    def take_orphans(self) -> list[Task]:
        """The events that relied on jobs that were given up before they began; each is handed out once."""
        orphans = [task for key, task in self._relying.items() if key not in self._waiting]
        for task in orphans:
            del self._relying[task.key]
        return orphans

    def give_back(self, orphans: Iterable[Task]) -> None:
        """Keep orphans that could not be stored."""
        for task in orphans:
            self._relying.setdefault(task.key, task)
