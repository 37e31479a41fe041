"""What does not survive a fork: graphics, windows and pools of processes.

A forked process has a copy of their memory and nothing of what runs behind it, so that whoever uses
them there waits for ever. It is told so instead.
"""

import os


def refuse_forked(owner: int, what: str) -> None:
    """Stop in a process that was forked from the owner of something.

    Args:
        owner: The process (os.getpid) that made it.
        what: What it is, in plural.

    Raises:
        RuntimeError: If this is another process.
    """
    if owner != os.getpid():
        raise RuntimeError(
            f"this process was forked from one that has {what}, which do not survive that; start "
            'it by spawn: multiprocessing.get_context("spawn"), AsyncVectorEnv(..., '
            'context="spawn")'
        )
