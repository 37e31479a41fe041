"""`python -m benchmark`, and the script `dpbench`.

Only the standard library is imported before it is known that our packages are ours: their names are
generic, and a folder that has its own `envs/` would take the place of ours. The doctor looks at a
broken installation, so it needs nothing else either.
"""

import sys

from benchmark.start import stop_while_importing

stop_while_importing()  # before the imports that it is about

from benchmark.commands.doctor import doctor_command, strangers  # noqa: E402


def main() -> int:
    """Run what was typed; the exit code."""
    if sys.argv[1:] == ["doctor"]:
        return doctor_command()
    if found := strangers(sys.path):
        for text, advice in found:
            print(f"error: {text}; {advice}", file=sys.stderr)
        return 2
    from benchmark.cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
