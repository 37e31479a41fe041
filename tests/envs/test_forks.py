"""What drawn pictures, windows and processes do in a forked process, and when Python ends."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
needs_robosuite = pytest.mark.skipif(find_spec("robosuite") is None, reason="needs robosuite")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

CHILD = """
import os, sys, time
import gymnasium, numpy as np, envs

def main():
    {parent}
    child = os.fork()
    if not child:
        try:
            {child}
        except RuntimeError as error:
            print(error, flush=True)
        {end}
    for _ in range(300):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
        sys.exit("the child waits for ever")
    sys.exit(os.waitstatus_to_exitcode(status))

if __name__ == "__main__":
    main()
"""
DRAWN = "env = gymnasium.make('dpbench/Lift-v1', obs_type='pixels'); env.reset(seed=0)"
PLAYED = (
    "env = gymnasium.make_vec('dpbench/Lift-v1', 2, processes=2, control='velocity'); "
    "env.reset(seed=0)"
)
SHOWN = "env = gymnasium.make('dpbench/PushT-v1', render_mode='human'); env.reset(seed=0)"


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "script.py"
    file.write_text(script)
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(file)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "SDL_VIDEODRIVER": "dummy"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# How the child ends: through all that Python does then, or, as multiprocessing's do, without. Only
# so where it has children of its parent, over which multiprocessing would stumble.
THROUGH_ALL, AT_ONCE = "sys.exit(0)", "os._exit(0)"


@forks
@pytest.mark.parametrize(
    ("parent", "child", "end"),
    [
        pytest.param(
            DRAWN, "env.step(env.action_space.sample())", THROUGH_ALL, marks=needs_robosuite
        ),
        pytest.param(DRAWN + "; env.close()", DRAWN, THROUGH_ALL, marks=needs_robosuite),
        pytest.param(PLAYED, "env.step(np.zeros((2, 7)))", AT_ONCE, marks=needs_robosuite),
        pytest.param(SHOWN, "env.step(np.array([9.0, 9.0]))", THROUGH_ALL),
    ],
    ids=["drawn", "drawn and closed", "processes", "window"],
)
def test_a_forked_process_is_told_to_spawn_and_never_waits_for_ever(parent, child, end, tmp_path):
    done = run(CHILD.format(parent=parent, child=child, end=end), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "was forked" in done.stdout
    assert 'context="spawn"' in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "parent",
    [
        pytest.param(DRAWN, marks=needs_robosuite),
        pytest.param(PLAYED, marks=needs_robosuite),
        SHOWN,
        f"{SHOWN}; other = gymnasium.make('dpbench/PushT-v1', render_mode='human'); other.reset()",
    ],
    ids=["drawn", "processes", "window", "windows"],
)
def test_python_ends_in_silence_with_environments_still_open(parent, tmp_path):
    script = (
        f"import gymnasium, envs\ndef main():\n    global env\n    {parent}\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    done = run(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
