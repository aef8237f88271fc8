"""distill.py's parts: resuming, finding keys, the comparison."""

import json

import pytest
from mmengine.config import Config

from projects.data_distillation.experiment import (
    Experiment,
    StageError,
    comparison,
    gap_closed,
    newest_metrics,
    pseudo_label_key,
    run_command,
)

QUALITY = dict(images=3, instances=1200, precision=0.75, recall=0.5)


def summary(**maps: float) -> dict:
    models = {
        model: dict(bbox_mAP=value, bbox_mAP_50=value, bbox_mAP_75=value)
        for model, value in maps.items()
    }
    models['gap_closed'] = gap_closed(models)
    return dict(models, pseudo_labels=QUALITY)


@pytest.mark.parametrize(
    ('maps', 'expected'),
    [
        (dict(teacher=0.2, student=0.3, oracle=0.4), 0.5),
        (dict(teacher=0.2, student=0.1, oracle=0.4), -0.5),
        (dict(teacher=0.2, student=0.3), None),
        (dict(teacher=0.4, student=0.3, oracle=0.4), None),
    ],
)
def test_gap_closed(maps, expected):
    assert summary(**maps)['gap_closed'] == pytest.approx(expected)


def test_table_has_a_row_per_model_from_lower_to_upper_bound():
    text = comparison(summary(oracle=0.4, student=0.3, teacher=0.2))

    rows = [line.split()[1] for line in text.splitlines() if '40.0' in line
            or '30.0' in line or '20.0' in line]  # fmt: skip
    assert rows == ['teacher', 'student', 'oracle']
    assert '1,200 pseudo labels on 3 images' in text
    assert 'precision 0.750, recall 0.500' in text
    assert text.splitlines()[-1] == 'gap from teacher to oracle closed: 50%'


def test_table_without_oracle_and_truth_says_less():
    content = summary(student=0.3, teacher=0.2)
    content['pseudo_labels'] = dict(images=3, instances=7)

    text = comparison(content)

    assert text.splitlines()[-1] == '7 pseudo labels on 3 images'


def test_newest_evaluation_counts(tmp_path):
    assert newest_metrics(tmp_path) is None
    for time, value in (('20250102_000000', 0.5), ('20250101_000000', 0.1)):
        (tmp_path / time).mkdir()
        (tmp_path / time / f'{time}.json').write_text(
            json.dumps({'coco/bbox_mAP': value, 'data_time': 3})
        )

    assert newest_metrics(tmp_path) == dict(
        bbox_mAP=0.5, bbox_mAP_50=0.0, bbox_mAP_75=0.0
    )


def student_config(tmp_path, *files: str):
    loader = dict(dataset=dict(datasets=[dict(ann_file=f) for f in files]))
    file = tmp_path / 'student.py'
    Config(dict(train_dataloader=loader)).dump(file)
    return file


def test_key_of_the_pseudo_labels_is_found(tmp_path):
    file = student_config(tmp_path, 'labeled.json', 'x/pseudo_labels.json')

    key = pseudo_label_key(Config.fromfile(file))

    assert key == 'train_dataloader.dataset.datasets.1.ann_file'


@pytest.mark.parametrize('files', [['a.json'], ['pseudo_labels.json'] * 2])
def test_student_must_name_the_pseudo_labels_once(tmp_path, files):
    file = student_config(tmp_path, *files)

    found = files.count('pseudo_labels.json')
    with pytest.raises(ValueError, match=rf'must name one .*found {found}'):
        pseudo_label_key(Config.fromfile(file))


def test_experiment_without_a_stage_config_is_refused(tmp_path):
    student_config(tmp_path)

    with pytest.raises(FileNotFoundError, match=r'annotate\.py not found'):
        Experiment(tmp_path, tmp_path, ('teacher', 'student'))


def test_failed_command_is_shown_with_its_exit_code(capfd):
    with pytest.raises(StageError, match="exit code 3: python -c 'exit"):
        run_command(['python', '-c', 'exit(3)'])

    assert "$ python -c 'exit(3)'" in capfd.readouterr().out


def test_options_change_every_stage(tmp_path):
    for stage in ('teacher', 'annotate', 'student'):
        (tmp_path / f'{stage}.py').write_text('a = dict(b=1)\n')

    experiment = Experiment(
        tmp_path, tmp_path, ('teacher', 'student'), options=('a.b=x', 'c=3')
    )

    assert experiment.load('annotate').to_dict() == dict(a=dict(b='x'), c=3)
