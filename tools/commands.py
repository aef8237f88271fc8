"""The command lines of `tools/` as one: `data-distillation COMMAND ...`.

`data-distillation distill ...` is `python tools/distill.py ...`.
"""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

THIS = Path(__file__).resolve()


def list_commands() -> dict[str, Path]:
    """List the command lines.

    Returns:
        Name, such as `check-coco` -> file, sorted.
    """
    files = sorted(THIS.parent.glob('[a-z]*.py'))
    return {f.stem.replace('_', '-'): f for f in files if f != THIS}


def summarize(file: Path) -> str:
    """Read the first line of the docstring of a command line.

    Args:
        file: The file.

    Returns:
        The line, without quotes.
    """
    # Read as text: to import the tools would import torch.
    return file.read_text().split('\n', 1)[0].lstrip('r').strip('"')


def main() -> None:
    """Run the command that the first argument names, with the others."""
    commands = list_commands()
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    file = commands.get(name.replace('_', '-'))
    if file is None:
        lines = [f'  {n:22}{summarize(f)}' for n, f in commands.items()]
        text = '\n'.join(
            ['usage: data-distillation COMMAND [ARGUMENTS]', '', *lines]
        )
        if name in ('-h', '--help'):
            print(text)
            return
        sys.exit(f'{text}\n\nerror: no such command: {name}')
    # The tool finds its own arguments, as if it had been started alone.
    sys.argv[:2] = [str(file)]
    # The doctor also runs where this project cannot be imported.
    if file.stem != 'doctor':
        from projects.data_distillation.command_line import add_own_modules

        add_own_modules()
    runpy.run_path(str(file), run_name='__main__')


if __name__ == '__main__':
    main()
