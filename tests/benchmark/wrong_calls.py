"""What can be typed wrongly: a call and what has to be said of it, for tests and `make torture`."""

from pathlib import Path

import pytest

import benchmark.commands.bench
import benchmark.plan.sweep
from benchmark.cli import main
from benchmark.running.train import Trainer

UNET = "bench --methods diffusion-unet --control position --set"
WRONG_CALLS = (
    ("bnch", "no command 'bnch'; commands: list, demos,"),
    ("bnch", "did you mean 'bench'?"),
    ("reprot", "did you mean 'report'?"),
    ("bench --presets smoke", "--presets; did you mean '--preset'?"),
    ("bench --method ibc", "--method; did you mean '--methods'?"),
    ("bench --preset smoek", "no preset 'smoek'; presets: smoke, quick, laptop, paper; did you"),
    ("bench --preset", "Missing value"),
    ("bench --task push-t", "did you mean 'pusht'?"),
    ("bench --task PushT", "did you mean 'pusht'?"),
    ("bench --task robosuite", "no task 'robosuite'; tasks: can, lift,"),
    ("bench --methods difusion-unet", "did you mean 'diffusion-unet'?"),
    ("bench --methods bet,ibc", "part several by spaces: --methods bet ibc (with make: METHODS="),
    ("bench --seeds 42,43", "--seeds 42,43; part values by spaces: --seeds 42 43"),
    ("bench --control position,velocity", "part values by spaces: --control position velocity"),
    ("bench --methods ''", "no method ''; methods: bc-mlp, bet,"),
    ("bench --control", "--control is given without a value"),
    ("bench --control positon", "positon; did you mean 'position'?"),
    ("bench --control position position", "asked for more than once"),
    ("bench --seeds", "--seeds is given without a value"),
    ("bench --seeds a", "--seeds"),
    ("bench --seeds -1", "a seed is -1; allowed: 0 to 2**63 - 1"),
    ("bench --seeds 42 42", "asked for more than once"),
    ("bench --seeds 99999999999999999999", "allowed: 0 to 2**63 - 1"),
    ("bench --action-horizon 0", "action_horizon is 0; allowed: 1 or more"),
    ("bench --action-horizon 1000", "action_horizon 1000 with latency 0 is too long"),
    ("bench --latency -1", "latency is -1; allowed: 0 or more"),
    ("bench --latency 100", "with latency 100 is too long"),
    ("bench --inference-steps -1", "inference_steps is -1; allowed: 0 or more"),
    ("bench --inference-steps 1000000", "1000000"),
    ("bench --methods bc-mlp --inference-steps 4", "bc-mlp has no inference steps"),
    ("bench --checkpoints 3", "checkpoints is 3; allowed: 0 or 10"),
    ("bench --episodes 0", "episodes is 0; allowed: 1 or more"),
    ("bench --workers 0", "workers is 0; allowed: 1 or more"),
    ("bench --num-demonstrations 0", "num_demonstrations is 0; allowed: 1 or more"),
    ("bench --num-demonstrations 300 --data human", "there are 206"),
    ("bench --obs-type keypoint", "did you mean 'keypoints'?"),
    ("bench --data humans", "humans; did you mean 'human'?"),
    ("bench --data human --data-path nowhere.npz", "no demonstrations at nowhere.npz"),
    ("bench --data-path x.npz", "scripted demonstrations come from no file"),
    ("bench --out /proc/nope", "--out /proc/nope cannot be written: "),
    ("bench --out /etc/passwd/x", "/etc/passwd is a file"),
    ("bench --set train.updates", "write NAME=VALUE"),
    ("bench --set train.update=3", "did you mean 'updates'?"),
    ("bench --set trian.updates=3", "no setting 'trian.updates'"),
    ("bench --set task=can", "no setting 'task'"),
    ("bench --set train.learning_rate=-1", "learning_rate is -1.0; it must be above 0"),
    ("bench --set train.learning_rate=NaN", "learning_rate is nan"),
    ("bench --set train.betas=[1,2]", "betas is (1, 2); allowed"),
    ("bench --set train.weight_decay=-1", "weight_decay is -1.0; allowed: 0 or more"),
    ("bench --set train.ema_maximum=2", "ema_maximum is 2.0; allowed: 0 to 1"),
    ("bench --set train.batch_size=1000000000000", "batch_size is 1000000000000; allowed"),
    ("bench --set train.updates=-1", "updates is -1; allowed: 0 or more"),
    ("bench --set train.precision=float16", "precision is 'float16'; allowed: auto"),
    ("bench --set pred_horizon=1000000000", "pred_horizon 1000000000; allowed"),
    ("bench --set obs_horizon=0", "obs_horizon is 0"),
    ("bench --set action_scaling=minmax", "did you mean 'min-max'?"),
    (f"{UNET} agent.channels=[]", "channels is empty; allowed"),
    (f"{UNET} agent.channels=[-8]", "channels is -8; allowed: multiples of groups"),
    (f"{UNET} agent.channels=[8000000]", "channels is 8000000; allowed: 1,000,000 at most"),
    (f"{UNET} agent.channels=[800000]", "a larger network than a machine can hold"),
    (f"{UNET} agent.chanels=[8]", "did you mean 'channels'?"),
    (f"{UNET} agent.kernel_size=4", "kernel_size is 4; allowed: odd numbers"),
    (f"{UNET} agent.num_inference_steps=0", "num_inference_steps is 0"),
    (f"{UNET} agent.conditioning=both", "conditioning is 'both'; allowed: film, joint"),
    (f"{UNET} agent.sampler=ddmp", "sampler is 'ddmp'; allowed: ddpm, ddim; did you mean"),
    ("bench --methods diffusion-transformer --set agent.layers=100000", "larger network"),
    ("bench --methods bc-mlp --set agent.dropout=2", "dropout is 2.0; allowed: 0 to 1"),
    ("run pusht", "Missing from python -m benchmark run"),
    ("run pusht bett", "did you mean 'bet'?"),
    ("run pusht bet --control torque", "torque"),
    ("run pusht bet --seed x", "--seed"),
    ("study latncy", "did you mean 'latency'?"),
    ("study latency --task cann", "did you mean 'can'?"),
    ("report --task cna", "no task 'cna'; tasks: "),
    ("search pusht betb", "did you mean 'bet'?"),
    ("search pusht bet train.updatess=3", "did you mean 'updates'?"),
    ("search pusht bet --episodes 0", "episodes is 0; allowed: 1 or more"),
    ("search pusht bet --seeds", "--seeds is given without a value"),
    ("compare bet bett", "did you mean 'bet'?"),
    ("compare bet bet:torque", "write METHOD, METHOD:position"),
    ("compare bet bet", "bet and bet are the same policy"),
    ("compare bet ibc --most 0", "most is 0; allowed: 1 or more"),
    ("compare bet ibc --by succes", "succes; did you mean 'success'?"),
    ("plan --difference 2", "difference 2.0"),
    ("play --policy nowhere", "no folder nowhere, and no run of that name"),
    ("play --record x.txt", "a file .npz, not to x.txt"),
    ("export nowhere x", "no folder nowhere, and no run of that name"),
    ("export shipped x --action-horizon 99", "action_horizon is 99; shipped allows 1 to 15"),
    ("export shipped /proc/nope --episodes 1", "/proc/nope cannot be written"),
    ("keep --task cann", "did you mean 'can'?"),
    ("keep --preset smok", "did you mean 'smoke'?"),
    ("results --out nowhere", "--out nowhere is no folder"),
    ("demos push-t", "did you mean 'pusht'?"),
    ("demos pusht --data-path nowhere.npz", "no demonstrations at nowhere.npz"),
    ("demos pusht --figure x.txt", "no figure of kind '.txt'; use .png"),
    ("demos pusht --figure /proc/x.png", "--figure /proc cannot be written"),
    ("demos pusht --from nowhere.zip", "no demonstrations at nowhere.zip"),
    ("demos lift --filter-key train", "only robomimic's HDF5 files have such"),
    ("perf --out /proc/nope", "--out /proc/nope cannot be written"),
    ("", "Missing subcommand"),
    ("doctor --fast", "Unrecognized options: --fast"),
    ("compare bet ibc --video 3", "--video"),
    ("plan --track wandb", "--track"),
)


def nothing_works(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a call that is not refused fail instead of training or making demonstrations."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it began to work")

    patch.setenv("DPBENCH_RUNS", str(folder / "runs"))
    patch.setenv("DPBENCH_EVIDENCE", str(folder / "evidence"))
    patch.setenv("DPBENCH_CACHE", str(folder / "cache"))
    patch.setattr(Trainer, "step", refuse)
    patch.setattr(benchmark.commands.bench, "references", refuse)


def code_of(arguments: list[str]) -> int:
    """The exit code of a call."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
