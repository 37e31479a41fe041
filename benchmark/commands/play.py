"""`python -m benchmark play`: push the T yourself, or watch policies and get in their way."""

from __future__ import annotations

from benchmark.errors import UsageError
from benchmark.plan.request import PlayRequest
from benchmark.play.policies import load_policy
from benchmark.play.recorder import Recorder
from benchmark.play.session import Session
from benchmark.play.window import Window

PLAYABLE = ("pusht", "pusht-image")
"""Tasks of the one table, whatever a policy sees of it."""


def play_command(request: PlayRequest) -> int:
    """Open the window; the exit code once it is closed."""
    window = Window(make_session(request))
    window.run()
    recorder = window.session.recorder
    if recorder is not None and recorder.count:
        print(
            f"{recorder.count} episodes in {recorder.path}; train on them:\n"
            f"  make bench TASK={request.task} DATA=human DATA_PATH={recorder.path}"
        )
    return 0


def make_session(request: PlayRequest) -> Session:
    """What is played, before there is a window.

    Raises:
        UsageError: If a task cannot be played by hand, or there is no such policy or file.
    """
    if request.task not in PLAYABLE:
        raise UsageError(
            f"{request.task} cannot be played by hand, only {' and '.join(PLAYABLE)}; "
            "`python -m benchmark video` shows its policies"
        )
    policies = [
        load_policy(where, request.task, request.action_horizon) for where in request.policy
    ]
    for where, policy in zip(request.policy, policies, strict=True):
        if policy.task not in PLAYABLE:
            raise UsageError(f"{where} is a policy of {policy.task}, not of {PLAYABLE[0]}")
    recorder = Recorder(request.record) if request.record is not None else None
    return Session(policies, recorder, request.seed, request.paths - 1)
