"""Work on simulations, spread over processes.

Jobs are functions of their arguments alone, so how many processes there are changes no result. Each
process builds a simulation when it first needs it and keeps it. Processes are spawned: a script
that uses them needs the usual `if __name__ == "__main__":`.
"""

import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from typing import ParamSpec, TypeVar

from envs.control import Control
from envs.forks import refuse_forked
from envs.robosuite.scenes import TaskName
from envs.robosuite.simulation import Simulation

P = ParamSpec("P")
R = TypeVar("R")


@cache
def shared_simulation(task: TaskName, control: Control) -> Simulation:
    """The one simulation of this process that jobs play on, one after another."""
    return Simulation(task, control)


def available_processes() -> int:
    """One for each core that this process may use; one alone in a process that may have none."""
    if multiprocessing.current_process().daemon:  # such as a worker of a sweep
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Processes:
    """Computes jobs in `count` processes, or in this one if that is 1.

    Args:
        count: How many; None for `available_processes`.

    Raises:
        ValueError: If the count is below 1.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = available_processes() if count is None else count
        if self.count < 1:
            raise ValueError(f"{self.count} processes asked for; give at least 1")
        self._executor: ProcessPoolExecutor | None = None
        self._end: Callable[[], object] = _nothing
        self._owner = os.getpid()

    def submit(self, job: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Have a job done; with one process it is done now.

        Raises:
            RuntimeError: In a process that was forked from the one whose processes these are.
        """
        if self.count > 1:
            if self._executor is None:
                self._owner = os.getpid()
                context = multiprocessing.get_context("spawn")
                self._executor = ProcessPoolExecutor(self.count, context, initializer=_settle)
                # Left to the collection of garbage, its thread may end while Python does, and write
                # to a pipe that is closed.
                end = weakref.finalize(self, _shut_down, self._executor, self._owner)
                end.atexit = False  # `concurrent.futures` ends those that are open then
                self._end = end
            refuse_forked(self._owner, "processes of its own")
            return self._executor.submit(job, *args, **kwargs)
        future: Future[R] = Future()
        future.set_result(job(*args, **kwargs))
        return future

    def close(self) -> None:
        """End the processes; jobs that have not begun are dropped."""
        self._end()
        self._executor = None


def _nothing() -> None:
    pass


def _shut_down(executor: ProcessPoolExecutor, owner: int) -> None:
    if owner == os.getpid():  # a forked process has no thread that would
        # The executor's own thread, which may collect garbage too, cannot wait for itself.
        waits = threading.current_thread() is threading.main_thread()
        executor.shutdown(wait=waits, cancel_futures=True)


def _settle() -> None:
    """In a new process: leave interruptions to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
