"""The numbers of a new experiment, and their reasons."""

import pytest

from projects.data_distillation.experiment.scaffold.detector import (
    DetectorConfig,
)
from projects.data_distillation.experiment.scaffold.init import make_plan
from projects.data_distillation.experiment.scaffold.plan import (
    Data,
    ExperimentOptions,
    Images,
    Plan,
    explain_lengths,
    explain_rate,
)
from projects.data_distillation.experiment.scaffold.schedule import Schedule

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
HARM = 'makes labels that harm (docs/no_gain.md)'


@pytest.mark.parametrize(
    ('num_labeled', 'iterations', 'words'),
    [
        # 12 epochs of 400 images are as many as the least, 399 are fewer.
        (400, None, "2,400 iterations: 12 epochs as in the detector's config"),
        (399, None, '2,400 iterations: through 4,800 images, the least that'),
        (399, 2400, '2,400 iterations: as given'),
        (399, 2399, '2,399 iterations: as given, fewer than the 2,400 of the'),
    ],
)
def test_length_of_a_training_has_its_reason(num_labeled, iterations, words):
    images = Images('labeled.json', 'images/', num_labeled)
    detector = DetectorConfig.read(RETINANET)
    data = Data(('a',), images, Images('', 'more/', 100), images)
    options = ExperimentOptions(ratio=(6, 4), iterations=iterations)
    plan = make_plan(detector, data, options)

    teacher, student, passes, rate, scaled = explain_lengths(
        detector, data, plan, options
    )

    assert teacher.startswith(f'teacher     {words}')
    assert (HARM in teacher) == (iterations == 2399)
    assert "at least 2 times the teacher's" in student
    # Two images in a batch, and 4 of 10 are pseudo-labeled: 0.8 of 100.
    number = plan.student_iterations * 0.8 / 100
    assert passes.endswith(f'sees each unlabeled image {number:.1f} times')
    assert 'learning rate' in rate
    assert '(0.01, so that for 2 it is 0.00125; ' in scaled


@pytest.mark.parametrize(
    ('batch_size', 'num_processes', 'rate'),
    [(16, 1, None), (2, 8, None), (8, 4, 0.02), (1, 1, 0.000625)],
)
def test_rate_of_another_batch_size_is_named(batch_size, num_processes, rate):
    """RetinaNet's is 0.01 for 16 images."""
    detector = DetectorConfig.read(RETINANET)
    plan = Plan(
        batch_size=batch_size,
        num_processes=num_processes,
        iterations=1,
        student_iterations=1,
    )

    _, *more = explain_rate(Schedule.of(detector.cfg), plan)

    assert len(more) == (rate is not None)
    assert all(f'it is {rate:g}; see' in line for line in more)


def test_student_without_labeled_images_sees_more_of_the_others():
    plan = Plan(
        batch_size=4, num_processes=2, iterations=1, student_iterations=50
    )

    assert plan.count_passes(100, num_labeled=5) == 1.6
    assert plan.count_passes(100, num_labeled=0) == 4
