"""No file that is read can run code: nothing of ours is unpickled from one."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = [
    p for name in ("benchmark", "envs", "baselines") for p in (REPOSITORY / name).rglob("*.py")
]
RUNS_CODE = re.compile(
    r"pickle\.(load|Unpickler)|read_pickle|joblib|allow_pickle=True|hub\.load"
    r"|(?<!safetensors\.)torch\.load\((?!.*weights_only=True)"
)


@pytest.mark.parametrize(
    "line",
    ["pickle.loads(x)", "np.load(p, allow_pickle=True)", "torch.load(p)", "pd.read_pickle(p)"],
)
def test_what_would_run_code_is_known(line: str) -> None:
    assert RUNS_CODE.search(line)


def test_nothing_is_read_that_could_run_code() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in FILES
        for line in path.read_text().splitlines()
        if RUNS_CODE.search(line)
    ]
    assert not found
