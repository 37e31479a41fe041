"""What is shown of long steps where nobody watches: lines, few of them."""

import pytest

from benchmark import progress
from benchmark.progress import minutes, progress_bar


def test_without_a_terminal_a_line_is_written_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress_bar(300, "training", "update") as bar:
        for update in range(300):
            now[0] = float(update)
            bar.update()
            bar.set_postfix({"loss": "0.5"})
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) == 4  # after 60, 120, 180 and 240 seconds
    assert lines[0].startswith("  training: 61 of 300 updates, ")
    assert lines[-1].endswith("left, loss=0.5")
    assert printed.err == ""


def test_what_is_short_is_not_spoken_of(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3, "playing", "step") as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89.0, "89 s"), (90.0, "2 min"), (9000.0, "2.5 h")]
)
def test_times_are_rounded_to_what_is_known(seconds: float, text: str) -> None:
    assert minutes(seconds) == text
