"""Curves of a real training."""

from builders import ROOT, run
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)


def test_losses_are_in_tensorboard_and_where_they_were(tiny_experiment):
    done = run(
        'python', ROOT / 'tools/train.py', 'experiment/teacher.py',
        '--work-dir', 'curves', '--cfg-options',
        'default_hooks.tensorboard.type=TensorBoardHook',
        'default_hooks.logger.interval=1',
        cwd=tiny_experiment.parent,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (folder,) = (tiny_experiment.parent / 'curves').glob('*/vis_data')
    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars('loss')] == [1, 2]
    assert len((folder / 'scalars.json').read_text().splitlines()) == 2
