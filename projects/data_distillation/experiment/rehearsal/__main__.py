"""Runs a rehearsal in a process of its own: `python __main__.py FOLDER`."""

import gc
import sys
from pathlib import Path

# As for the tools: the modules beside this file are no modules of a config.
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parents[3]), *(p for p in sys.path if p != str(HERE))]

from projects.data_distillation.command_line import (  # noqa: E402
    add_own_modules,
)
from projects.data_distillation.experiment.rehearsal.trial import (  # noqa: E402
    run_trials,
)
from projects.data_distillation.quiet import quiet_screen  # noqa: E402


@quiet_screen()
def main() -> None:
    """Try the stages that the folder lists."""
    add_own_modules()
    # MMEngine collects garbage for each dataset. Among the objects of torch
    # and MMDetection, that takes longer than anything else here.
    gc.freeze()
    sys.exit(run_trials(Path(sys.argv[1])))


if __name__ == '__main__':
    main()
