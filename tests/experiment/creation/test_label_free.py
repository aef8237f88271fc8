"""The configs of an experiment without labeled images."""

import pytest
from builders import DrawnImages
from given_teachers import write_detector, write_teacher, write_val
from mmengine.config import Config

from projects.data_distillation.experiment.creation.label_free import (
    init_label_free,
)
from projects.data_distillation.experiment.creation.sources import (
    LabelFreeSources,
)
from projects.data_distillation.experiment.given_teachers.options import (
    TeacherOptions,
)
from projects.data_distillation.experiment.scaffold.plan import (
    RATIO,
    ExperimentOptions,
)

SELECTOR = dict(type='CountSelector', per_image=3)


@pytest.fixture
def drawn(tmp_path) -> DrawnImages:
    """Images, a detector, and a teacher."""
    write_detector(tmp_path / 'student.py')
    write_teacher(tmp_path / 'teacher.pth', ('red', 'green'))
    drawn = DrawnImages(tmp_path / 'drawn')
    write_val(drawn)
    return drawn


@pytest.fixture
def init(drawn, tmp_path):
    def call(*, selector: dict | None = None, **sources: object) -> list[str]:
        return init_label_free(
            tmp_path / 'out',
            str(tmp_path / 'student.py'),
            LabelFreeSources(str(drawn.folder / 'unlabeled'), **sources),
            ExperimentOptions(RATIO, selector=selector, iterations=2),
            TeacherOptions(teacher=[tmp_path / 'teacher.pth']),
        )

    return call


def test_folder_that_exists_is_left_as_it_is(init, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/mine.txt').write_text('mine')

    with pytest.raises(FileExistsError, match='out exists already: see --ov'):
        init(selector=SELECTOR)

    assert (tmp_path / 'out/mine.txt').read_text() == 'mine'


@pytest.mark.slow
def test_without_any_label_the_student_is_tested_on_unlabeled_images(
    init, drawn, tmp_path
):
    shown = init(selector=SELECTOR)

    assert 'classes     2: red, green' in shown
    stages = {file.name for file in (tmp_path / 'out').glob('*.py')}
    assert 'student.py' in stages
    assert not stages & {'validate.py', 'tune.py', 'oracle.py'}
    student = Config.fromfile(tmp_path / 'out/student.py')
    test = student.test_dataloader.dataset
    assert test.type == 'UnlabeledDataset'
    steps = [step.type for step in test.pipeline]
    assert steps == ['LoadImageFromFile', 'Resize', 'PackDetInputs']
    assert student.get('val_cfg') is None and student.test_evaluator == []
    (hook,) = Config.fromfile(tmp_path / 'out/annotate.py').custom_hooks
    assert hook.selection == dict(selector=SELECTOR)
    assert 'held_out' not in hook


@pytest.mark.slow
def test_validation_images_count_objects_and_are_held_out(
    init, drawn, tmp_path
):
    val = str(drawn.folder / 'val.json')
    images = drawn.folder / 'val'

    init(val=val, val_images=str(images))

    annotate = Config.fromfile(tmp_path / 'out/annotate.py')
    known = [dict(ann_file=val, img_prefix=f'{images}/')]
    assert annotate.custom_hooks[0].held_out == known
    assert annotate.custom_hooks[0].selection.counted == [val]
    student = Config.fromfile(tmp_path / 'out/student.py')
    assert student.val_dataloader.dataset.ann_file == val
    hooks = [hook.type for hook in student.custom_hooks]
    assert hooks == ['IgnoreRegionsHook']
    file = student.train_dataloader.dataset.ann_file
    assert file == 'work_dirs/out/annotate/pseudo_labels.json'
