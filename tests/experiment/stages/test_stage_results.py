"""What stages leave in their folders."""

from pathlib import Path

from projects.data_distillation.experiment.stages.stage_results import (
    name_round_dir,
    set_rounds_aside,
)


def test_later_rounds_have_folders_of_their_own():
    assert name_round_dir(Path('work'), 1) == Path('work')
    assert name_round_dir(Path('work'), 2) == Path('work/round2')


def test_rounds_of_an_earlier_run_are_moved_away(tmp_path):
    for number in (2, 3, 4):
        name_round_dir(tmp_path, number).mkdir()

    set_rounds_aside(tmp_path, 3)

    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ['replaced', 'round2']
    moved = sorted(path.name for path in (tmp_path / 'replaced').iterdir())
    assert moved == ['round3-1', 'round4-1']
