"""An experiment for any detector, and for the data that people have."""

import importlib
import json
import os
import pickle
import re
import signal
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import cv2
import pytest
import torch
from builders import CLASSES, ROOT, Call, toy_detector_cfg
from mmdet.registry import MODELS
from mmengine.config import Config

from projects.data_distillation.base_configs.augmentation import (
    list_directions,
)
from projects.data_distillation.base_configs.freezing import find_default
from projects.data_distillation.experiment.scaffold.changes import (
    describe_classes,
)
from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.experiment.scaffold.detector import (
    DetectorConfig,
    DetectorError,
    take_pipeline,
)
from projects.data_distillation.experiment.scaffold.image_size import (
    resize_value,
)
from projects.data_distillation.experiment.scaffold.init import (
    init_experiment,
    make_plan,
)
from projects.data_distillation.experiment.scaffold.plan import (
    MIN_IMAGES_SEEN,
    MIN_STUDENT_FACTOR,
    RATIO,
    RECIPES,
    Data,
    ExperimentOptions,
    Images,
    Plan,
    compute_iterations,
)
from projects.data_distillation.experiment.scaffold.schedule import Schedule
from projects.data_distillation.experiment.scaffold.stage_configs import (
    NewExperiment,
)
from projects.data_distillation.experiment.scaffold.views import (
    find_flips,
    keep_all_detections,
    make_flip,
)
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
)

RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
FAMILIES = dict(
    one_stage=RETINANET,
    cascade='mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    voc='mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py',
    mosaic_wrapper='mmdet::yolox/yolox_tiny_8xb8-300e_coco.py',
    mosaic_pipeline='mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    detr='mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    fixed_size='mmdet::ssd/ssd300_coco.py',
    stock_views='mmdet::centernet/'
    'centernet_r18-dcnv2_8xb16-crop512-140e_coco.py',
    iterations='mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py',
    repeated='mmdet::atss/atss_r50_fpn_8xb8-amp-lsj-200e_coco.py',
)
RTMDET = FAMILIES['mosaic_pipeline']
STAGES = {
    'teacher',
    'tune',
    'annotate',
    'validate',
    'supervised_long',
    'student',
}
FULL = dict(ratio=(6, 4))


@pytest.fixture
def sources(drawn) -> dict:
    """The labeled images validate, too: two images of their own are few."""
    val = json.loads((drawn.folder / 'labeled.json').read_text())
    (drawn.folder / 'val').mkdir()
    for image in val['images']:
        file = drawn.folder / 'labeled' / image['file_name']
        flipped = cv2.imread(str(file))[:, ::-1]
        cv2.imwrite(str(drawn.folder / 'val' / image['file_name']), flipped)
    return dict(
        labeled=drawn.write('labeled.json', drawn.labeled),
        labeled_images=drawn.folder / 'labeled',
        val=drawn.write('val.json', val),
        val_images=drawn.folder / 'val',
        unlabeled=str(drawn.folder / 'unlabeled'),
    )


def num_classes_in(part: object) -> set[int]:
    """All values of `num_classes`, at any depth."""
    if isinstance(part, dict):
        found = {v for k, v in part.items() if k == 'num_classes'}
        return found.union(*map(num_classes_in, part.values()))
    if isinstance(part, list | tuple):
        return set().union(*map(num_classes_in, part))
    return set()


@pytest.mark.slow
@pytest.mark.parametrize('family', FAMILIES)
def test_stages_of_any_detector_fit_the_data(family, sources, tmp_path):
    out = tmp_path / 'cells'

    init_experiment(
        out, FAMILIES[family], Sources(**sources), ExperimentOptions(**FULL)
    )

    cfgs = {f.stem: Config.fromfile(f) for f in out.glob('*.py')}
    made_by_pipeline = cfgs['annotate'].model.get('views') is None
    expected = STAGES - ({'tune'} if made_by_pipeline else set())
    assert cfgs.keys() == expected
    for cfg in cfgs.values():
        assert cfg.metainfo.classes == CLASSES
    assert num_classes_in(cfgs['teacher'].model) == {len(CLASSES)}
    assert num_classes_in(cfgs['annotate'].model) == {len(CLASSES)}
    for stage in ('teacher', 'student'):
        assert cfgs[stage].train_cfg.type == 'IterBasedTrainLoop'
        assert cfgs[stage].val_evaluator.ann_file == str(sources['val'])
    kinds = [hook['type'] for hook in cfgs['student'].custom_hooks]
    assert kinds[-1] == 'IgnoreRegionsHook'
    assert not {'PipelineSwitchHook', 'YOLOXModeSwitchHook'} & set(kinds)


# --- the numbers -----------------------------------------------------------


def plan(num_unlabeled: int = 8000, **options) -> Plan:
    """The numbers for 1,000 labeled images."""
    images = Images('labeled.json', 'images/', 1000)
    unlabeled = Images('', 'more/', num_unlabeled)
    return make_plan(
        DetectorConfig.read(options.pop('detector', RETINANET)),
        Data(CLASSES, images, unlabeled, images),
        ExperimentOptions(**FULL, **options),
    )


@pytest.mark.parametrize(
    ('num_unlabeled', 'options', 'expected'),
    [
        # 12 epochs of 1,000 images, 2 in a batch; then of 9,000.
        (8000, {}, (6000, 54000)),
        # Twice as long at least.
        (500, {}, (6000, 12000)),
        (8000, dict(batch_size=8, gpus=3), (500, 4500)),
        (8000, dict(iterations=70), (70, 140)),
        (8000, dict(iterations=70, student_iterations=90), (70, 90)),
        (8000, dict(student_iterations=90), (6000, 90)),
    ],
)
def test_iterations_follow_the_data(num_unlabeled, options, expected):
    chosen = plan(num_unlabeled, **options)

    assert (chosen.iterations, chosen.student_iterations) == expected


@pytest.mark.slow
@pytest.mark.parametrize('end', [0, -1])
def test_guide_says_how_long_trainings_are(end):
    guide = (ROOT / 'docs/guide.md').read_text()
    table = guide.split('student, control: iterations each')[1]
    rows = re.findall(r'^\| `(\S+)` \|(.*)\|$', table, re.MULTILINE)
    assert len(rows) == 4
    for name, rest in rows:
        # Of a range, its ends have as many iterations.
        counts = [
            int(re.findall(r'[\d,]+', cell)[end].replace(',', ''))
            for cell in rest.split('|')[:4]
        ]
        path = name if name.startswith('mmdet::') else str(ROOT / name)
        detector = DetectorConfig.read(path)
        step = detector.cfg.train_dataloader['batch_size']
        epochs = Schedule.of(detector.cfg).count_epochs(step, 1)
        num_labeled, num_unlabeled, teacher, student = counts
        found = compute_iterations(num_labeled, epochs, step, MIN_IMAGES_SEEN)
        num_images = num_labeled + num_unlabeled
        longer = compute_iterations(num_images, epochs, step, 0)
        assert teacher == found
        assert student == max(longer, MIN_STUDENT_FACTOR * found)


def test_few_images_are_seen_more_often_than_the_detector_would():
    assert compute_iterations(5, 12, 2, MIN_IMAGES_SEEN) == 2400
    assert compute_iterations(1000, 12, 2, MIN_IMAGES_SEEN) == 6000
    assert compute_iterations(5, 12, 1000, 0) == 1
    assert compute_iterations(7, 1, 4, 0) == 2


def schedule(detector: str) -> Schedule:
    return Schedule.of(DetectorConfig.read(detector).cfg)


def test_steps_stay_where_they_were_in_the_training():
    _, steps = schedule(RETINANET).scale_schedulers(1200)

    assert steps['milestones'] == [800, 1100]  # 8 and 11 of 12.


@pytest.mark.parametrize(
    ('iterations', 'end'), [(1200, 120), (5000, 500), (12000, 500)]
)
def test_warm_up_is_a_tenth_of_a_short_training(iterations, end):
    warm_up, _ = schedule(RETINANET).scale_schedulers(iterations)

    assert (warm_up['begin'], warm_up['end']) == (0, end)


def test_cosine_keeps_its_shape():
    warm_up, cosine, constant = schedule(
        FAMILIES['mosaic_wrapper']
    ).scale_schedulers(3000)

    assert (warm_up['end'], cosine['begin'], cosine['T_max']) == (50, 50, 2850)
    assert (constant['begin'], constant['end']) == (2850, 3000)
    assert cosine['eta_min_ratio'] == pytest.approx(0.05)


def test_schedulers_count_iterations():
    for scheduler in schedule(FAMILIES['mosaic_wrapper']).scale_schedulers(
        3000
    ):
        assert not scheduler['by_epoch']
        assert not {'convert_to_iter_based', 'eta_min'} & scheduler.keys()


def test_shortest_training_has_schedulers_that_can_be_built():
    for detector in (RETINANET, FAMILIES['mosaic_wrapper']):
        for scheduler in schedule(detector).scale_schedulers(1):
            assert scheduler['end'] > scheduler['begin']


def own_schedule(tmp_path: Path, text: str) -> Schedule:
    """The schedule of a user's own config, by iterations."""
    return Schedule.of(
        own_detector(
            tmp_path,
            "train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', "
            f'max_iters=1000, val_interval=100)\n{text}',
        ).cfg
    )


def own_detector(
    tmp_path: Path, text: str, base: str = RETINANET
) -> DetectorConfig:
    """A user's own config, read."""
    file = tmp_path / 'own_detector.py'
    file.write_text(f'_base_ = {base!r}\n{text}')
    return DetectorConfig.read(str(file))


def test_decay_by_iterations_is_no_warm_up(tmp_path):
    of_detector = own_schedule(
        tmp_path,
        """
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=80),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=1000,
         T_max=1000, eta_min=1e-4),
    dict(type='PolyLR', by_epoch=False, end=1000),
]
""",
    )

    warm_up, cosine, poly = of_detector.scale_schedulers(200)

    assert warm_up['end'] == 20
    assert (cosine['end'], cosine['T_max']) == (200, 200)
    assert poly['end'] == 200


def test_momentum_is_no_learning_rate(tmp_path):
    (momentum,) = own_schedule(
        tmp_path,
        "param_scheduler = [dict(type='CosineAnnealingMomentum', T_max=1000, "
        'by_epoch=False, eta_min=0.8)]',
    ).scale_schedulers(200)

    assert momentum['eta_min'] == 0.8 and 'eta_min_ratio' not in momentum


def test_average_begins_at_the_same_part_of_the_training(tmp_path):
    ema = "custom_hooks = [dict(type='EMAHook', begin_{}={})]"
    by_iterations = own_schedule(tmp_path, ema.format('iter', 250))
    by_epochs = Schedule.of(
        own_detector(tmp_path, ema.format('epoch', 3)).cfg  # Of 12.
    )

    (hook,) = by_iterations.scale_hooks(200)
    assert hook.changes == dict(begin_iter=50)
    (hook,) = by_epochs.scale_hooks(200)
    assert hook.changes == dict(begin_epoch=0, begin_iter=50)


def test_iterations_of_a_hook_stay_where_the_training_has_epochs(tmp_path):
    hook = "custom_hooks = [dict(type='MyHook', begin_iter=100)]"
    by_iterations = own_schedule(tmp_path, hook)
    by_epochs = Schedule.of(own_detector(tmp_path, hook).cfg)

    (scaled,) = by_iterations.scale_hooks(200)
    assert scaled.changes == dict(begin_iter=20)
    assert by_epochs.scale_hooks(200)[0].changes is None


def test_later_pipeline_has_the_smaller_images_too():
    hooks = schedule(RTMDET).scale_hooks(100, size_factor=0.5)

    (switch,) = (hook for hook in hooks if isinstance(hook, dict))
    changes = [step.changes for step in switch['pipeline'] if step.changes]
    assert changes == [
        dict(scale=(320, 320)),
        dict(crop_size=(320, 320)),
        dict(size=(320, 320)),
    ]


def test_iteration_based_training_counts_cocos_images():
    of_detector = schedule(FAMILIES['iterations'])

    assert not of_detector.is_in_epochs
    assert of_detector.count_epochs(16) == pytest.approx(18000 * 16 / 117_266)
    # Its steps are iterations already.
    *_, steps = of_detector.scale_schedulers(180)
    assert steps['milestones'] == [120, 160]


@pytest.mark.parametrize(
    ('count', 'shown'), [(1, 1), (8, 8), (9, 8), (10, 8), (80, 8)]
)
def test_names_of_classes_that_are_not_shown_are_hinted_at(count, shown):
    names = [f'class {number}' for number in range(count)]

    text = describe_classes(names)

    more = [] if count == shown else ['...']
    assert text == f'{count}: {", ".join([*names[:shown], *more])}'


# --- what is written -------------------------------------------------------


def written(
    folder: Path,
    detector: DetectorConfig,
    classes=CLASSES,
    num_val: int = 10,
    **changes,
) -> dict[str, Config]:
    """The stage configs for a detector, as they read back."""
    images = Images('labeled.json', 'images/', 10)
    val = Images('val.json', 'images/', num_val)
    numbers = dict(batch_size=2, num_processes=1, iterations=8)
    plan = Plan(**numbers, student_iterations=16, **changes)
    data = Data(classes, images, Images('', 'more/', 20), val)
    NewExperiment(folder.name, detector, data, plan).write(folder)
    return {file.stem: Config.fromfile(file) for file in folder.glob('*.py')}


@pytest.mark.slow
def test_class_names_are_written_as_they_are(tmp_path):
    detector = DetectorConfig.read(RETINANET)
    names = (
        "a'b",
        'a"b',
        'globule blanc \xe9\u767d',
        '{braces}',
        '50%',
        '\\n',
    )
    cfgs = written(tmp_path / 'many', detector, names)
    one = written(tmp_path / 'one', detector, ('cell',))

    for cfg in cfgs.values():
        assert cfg.metainfo.classes == names
    assert one['student'].metainfo.classes == ('cell',)
    assert num_classes_in(one['annotate'].model) == {1}


@pytest.mark.slow
def test_detector_that_is_not_validated_while_it_trains(tmp_path):
    detector = own_detector(
        tmp_path,
        'val_dataloader = None\nval_evaluator = None\nval_cfg = None',
    )

    cfgs = written(tmp_path / 'cells', detector)

    for stage in ('teacher', 'student'):
        assert cfgs[stage].val_dataloader is None
        assert cfgs[stage].val_evaluator is None
        assert cfgs[stage].test_evaluator.ann_file == 'val.json'
        assert '_delete_' not in cfgs[stage].test_dataloader.dataset
        assert cfgs[stage].test_dataloader.dataset.ann_file == 'val.json'


@pytest.mark.slow
@pytest.mark.parametrize('name', ['digits', 'bccd', 'bccd_gfl_tiny'])
def test_our_own_detectors_validate_on_the_users_images(tmp_path, name):
    detector = DetectorConfig.read(str(ROOT / f'configs/{name}/teacher.py'))

    cfgs = written(tmp_path / 'cells', detector)

    for stage in ('teacher', 'student'):
        cfg = cfgs[stage]
        assert cfg.val_dataloader.dataset.ann_file == 'val.json'
        assert cfg.val_dataloader == cfg.test_dataloader
        assert cfg.val_evaluator.ann_file == 'val.json'
        assert cfg.val_evaluator == cfg.test_evaluator
        assert cfg.unlabeled_truth is None
        assert cfg.train_cfg.val_interval == cfg.train_cfg.max_iters // 4


@pytest.mark.slow
def test_modules_of_the_detector_are_imported_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'own_module.py').touch()
    detector = own_detector(
        tmp_path,
        "custom_imports = dict(imports='own_module', "
        'allow_failed_imports=True)',
    )

    teacher = written(tmp_path / 'cells', detector)['teacher']

    assert teacher.custom_imports == dict(
        imports=['own_module', 'projects.data_distillation'],
        allow_failed_imports=True,
    )


@pytest.mark.slow
def test_our_own_detectors_import_the_project_once(tmp_path):
    detector = own_detector(
        tmp_path,
        "custom_imports = dict(imports=['projects.data_distillation'])",
    )

    teacher = written(tmp_path / 'cells', detector)['teacher']

    assert teacher.custom_imports.imports == ['projects.data_distillation']


@pytest.mark.slow
def test_experiment_can_be_moved_with_its_detector(tmp_path, monkeypatch):
    (tmp_path / 'here/configs').mkdir(parents=True)
    own_detector(tmp_path / 'here', '')
    monkeypatch.chdir(tmp_path / 'here')
    # `..` of a link leads to the folder of its target.
    Path('linked').symlink_to('configs')

    written(Path('linked/cells'), DetectorConfig.read('own_detector.py'))
    (tmp_path / 'here').rename(tmp_path / 'there')

    assert Config.fromfile(tmp_path / 'there/configs/cells/teacher.py').model


@pytest.mark.parametrize('name', ['mmdet::a/b.py', '/absolute/detector.py'])
def test_other_detectors_are_named_as_they_are(name, tmp_path):
    assert DetectorConfig(name, Config()).find_base(tmp_path) == name


@pytest.mark.slow
@pytest.mark.parametrize(
    ('base', 'text', 'pad'),
    [
        (RETINANET, '', None),
        (RTMDET, '', dict(size_divisor=32, value=114)),
        (
            'mmdet::rtmdet/rtmdet_x_p6_4xb8-300e_coco.py',
            '',
            dict(size_divisor=64, value=114),
        ),
        (
            RETINANET,
            """
test_pipeline = _base_.test_pipeline
test_pipeline.insert(2, dict(type='Pad', size_divisor=32, pad_val=7))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
""",
            dict(size_divisor=32, value=7),
        ),
    ],
)
def test_views_are_padded_as_the_test_images(tmp_path, base, text, pad):
    detector = own_detector(tmp_path, text, base)

    views = written(tmp_path / 'cells', detector)['annotate'].model.views

    expected = dict(type='Pad', **pad) if pad else None
    for view in views:
        pads = [step for step in view if step.type == 'Pad']
        assert pads == ([expected] if pad else [])


@pytest.mark.slow
def test_square_images_may_be_given_by_one_number(tmp_path):
    detector = own_detector(
        tmp_path,
        """
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=512, keep_ratio=True)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
""",
    )

    recipe = replace(RECIPES['measured'], scales=[1])
    chosen = dict(size_factor=0.5, recipe=recipe)
    cfg = written(tmp_path / 'cells', detector, **chosen)['annotate']

    assert cfg.scales == [(256, 256)]
    assert cfg.val_dataloader.dataset.pipeline[1].scale == 256


@pytest.mark.slow
def test_detector_is_told_its_own_epochs(tmp_path):
    for detector, max_epochs in ((RTMDET, 300), (RETINANET, 12)):
        folder = tmp_path / str(max_epochs)
        cfgs = written(folder, DetectorConfig.read(detector))
        for stage in ('teacher', 'student'):
            hook = cfgs[stage].default_hooks.epoch
            assert hook == dict(type='EpochHook', max_epochs=max_epochs)


# --- the data --------------------------------------------------------------


def data_of(sources: dict, folder: Path, **changes) -> Data:
    return Sources(**{**sources, **changes}).gather(folder)


def test_unlabeled_images_may_be_a_folder(sources, drawn, tmp_path):
    data = data_of(sources, tmp_path)

    assert data.unlabeled == Images('', f'{drawn.folder}/unlabeled/', 5)


def test_unlabeled_images_may_be_a_list_of_names(sources, drawn, tmp_path):
    folder = drawn.folder / 'unlabeled'
    names = [image['file_name'] for image in drawn.truth['images']]
    listed = folder / 'list.TXT'
    listed.write_text('\n'.join([*names[:3], '', '']))

    data = data_of(sources, tmp_path, unlabeled=str(listed))

    assert data.unlabeled == Images(
        f'{tmp_path}/unlabeled.json', f'{folder}/', 3
    )


def test_unlabeled_images_may_be_those_of_a_coco_file(
    sources, drawn, tmp_path
):
    folder = drawn.folder / 'unlabeled'
    infos = drawn.folder / 'unlabeled.json'

    data = data_of(
        sources, tmp_path, unlabeled=str(infos), unlabeled_images=folder
    )

    assert data.unlabeled == Images(str(infos), f'{folder}/', 5)


def test_unlabeled_images_may_be_a_share_of_the_labeled(
    sources, drawn, tmp_path
):
    data = data_of(sources, tmp_path, unlabeled='50%')

    assert (data.labeled.count, data.unlabeled.count) == (1, 1)
    assert data.unlabeled.folder == data.labeled.folder
    truth = json.loads(Path(data.truth_file).read_text())
    assert truth['categories'] == drawn.labeled['categories']


def test_share_is_one_of_the_images_with_an_object(sources, drawn, tmp_path):
    images = drawn.labeled['images']
    empty = [dict(images[0], id=90 + i, file_name=f'{i}.p') for i in range(4)]
    content = dict(drawn.labeled, images=[*images, *empty])
    changed = dict(
        sources, labeled=drawn.write('half.json', content), unlabeled='50%'
    )

    data = Sources(**changed).gather(tmp_path, dict(filter_empty_gt=True))
    all_of_them = Sources(**changed).gather(tmp_path, {})

    assert (data.labeled.count, data.unlabeled.count) == (1, 1)
    assert data.notes[0].startswith('4 of the 6 labeled images have no object')
    assert (all_of_them.labeled.count, all_of_them.unlabeled.count) == (3, 3)


def test_list_may_be_of_windows_and_of_absolute_names(
    sources, drawn, tmp_path
):
    folder = drawn.folder / 'unlabeled'
    names = ['0.png', '1.png']
    listed = tmp_path / 'list.txt'
    contents = dict(
        windows='\ufeff' + '\r\n'.join([*names, '']),
        absolute='\n'.join(str(folder / name) for name in names),
    )
    for content in contents.values():
        listed.write_text(content, newline='')
        for images in (folder, Path(os.path.relpath(folder))):
            found = data_of(
                sources,
                tmp_path,
                unlabeled=str(listed),
                unlabeled_images=images,
            ).unlabeled
            infos = json.loads(Path(found.ann_file).read_text())['images']
            assert [info['file_name'] for info in infos] == names
            assert found.folder == f'{images}/'
    # Absolute names say which folder it is.
    found = data_of(sources, tmp_path, unlabeled=str(listed)).unlabeled
    assert found.folder == f'{folder}/'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('0.png\n1.png\n0.png', "more than once .* '0.png'"),
        ('/elsewhere/0.png\n1.png', 'leads outside .*--unlabeled-images'),
        ('no.png', 'none of the 1 unlabeled images .* no.png'),
        ('\n \n', 'lists no image'),
    ],
)
def test_list_that_cannot_be_meant_is_refused(
    sources, drawn, tmp_path, content, message
):
    listed = drawn.folder / 'unlabeled' / 'list.txt'
    listed.write_text(content)

    with pytest.raises((ValueError, OSError), match=message):
        data_of(sources, tmp_path, unlabeled=str(listed))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(unlabeled='50%', unlabeled_truth=Path('a.json')), 'leave --unl'),
        (dict(unlabeled='50%', unlabeled_images=Path('a')), 'leave it out'),
        (dict(unlabeled_images=Path('a')), 'leave it out'),
    ],
)
def test_option_that_would_not_be_used_is_refused(
    sources, tmp_path, changes, message
):
    with pytest.raises(ValueError, match=message):
        data_of(sources, tmp_path, **changes)


def test_truth_is_that_of_the_unlabeled_images(sources, drawn, tmp_path):
    truth = dict(drawn.truth, images=drawn.truth['images'][1:])
    truth['images'].append(dict(truth['images'][0], id=1, file_name='x.png'))
    file = drawn.write('other_truth.json', truth)

    with pytest.raises(
        CocoError, match=r"1 are missing \['0.png'\], 1 .* \['x.png'\]"
    ):
        data_of(sources, tmp_path, unlabeled_truth=file)


@pytest.mark.slow
@pytest.mark.parametrize('part', ['val', 'unlabeled_truth'])
def test_classes_in_another_order_are_found_at_once(
    sources, drawn, tmp_path, part
):
    file = sources['val'] if part == 'val' else drawn.folder / 'truth.json'
    content = json.loads(file.read_text())
    content['categories'] = content['categories'][::-1]
    sources[part] = drawn.write('swapped.json', content)
    options = ExperimentOptions(**FULL, allow_problems=True)

    with pytest.raises(CocoError, match='the order differs'):
        init_experiment(
            tmp_path / 'out', RETINANET, Sources(**sources), options
        )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            'model = dict(bbox_head=dict(loss_cls=dict('
            'class_weight=[1.0] * 80)))',
            'has 80 weights',
        ),
        ("custom_hooks = [dict(type='A', monitor='loss')]", "watches 'loss'"),
        ("load_from = 'no/such.pth'", "'no/such.pth', and there is no such"),
        ("param_scheduler = [dict(type='ReduceOnPlateauLR')]", 'waits for'),
    ],
)
def test_detector_that_does_not_fit_is_refused_at_once(
    sources, tmp_path, text, message
):
    own_detector(tmp_path, text)

    with pytest.raises(DetectorError, match=message):
        init_experiment(
            tmp_path / 'out',
            str(tmp_path / 'own_detector.py'),
            Sources(**sources),
            ExperimentOptions(**FULL),
        )
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(unlabeled='100%'), 'between 0% and 100%, got .100%'),
        (dict(unlabeled='x%'), 'between 0% and 100%'),
        (dict(unlabeled='90%'), 'leaves 0 labeled and 2 unlabeled'),
        (dict(unlabeled='no/folder'), 'unlabeled images not found: no/folder'),
        (dict(unlabeled='no.txt'), 'list of unlabeled images not found'),
        (dict(labeled=Path('no.json')), 'file not found: no.json'),
    ],
)
def test_data_that_is_not_there_is_named(sources, tmp_path, changes, message):
    with pytest.raises((ValueError, OSError), match=message):
        init_experiment(
            tmp_path / 'out',
            RETINANET,
            Sources(**{**sources, **changes}),
            ExperimentOptions(**FULL),
        )
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_problems_in_the_data_are_found_first(sources, drawn, tmp_path):
    # A detector that is validated on what it was trained on.
    same = dict(
        sources, val=sources['labeled'], val_images=sources['labeled_images']
    )
    out = tmp_path / 'out'

    with pytest.raises(ValueError, match='the data has problems:\n.*labeled'):
        init_experiment(
            out, RETINANET, Sources(**same), ExperimentOptions(**FULL)
        )
    assert not out.exists()
    init_experiment(
        out,
        RETINANET,
        Sources(**same),
        ExperimentOptions(**FULL, allow_problems=True),
    )
    with pytest.raises(FileExistsError, match='exists already'):
        init_experiment(
            out, RETINANET, Sources(**sources), ExperimentOptions(**FULL)
        )
    assert (out / 'teacher.py').is_file()


# --- the detector ----------------------------------------------------------


@pytest.mark.parametrize(
    ('detector', 'message'),
    [
        (
            'mmdet::htc/htc_r50_fpn_1x_coco.py',
            'on segmentation maps, but',
        ),
        (
            'mmdet::fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py',
            'on proposals, but',
        ),
        (
            'mmdet::rtmdet/rtmdet_tta.py',
            r"not the config of a training: it lacks \['model.type'",
        ),
        (
            'mmdet::soft_teacher/'
            'soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py',
            'semi-supervised method itself',
        ),
        (
            'mmdet::glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_'
            'coco.py',
            'trained on phrases',
        ),
        ('mmdet::rpn/rpn_r50_fpn_1x_coco.py', 'no `num_classes`'),
    ],
)
def test_detector_that_cannot_be_distilled_is_named(detector, message):
    with pytest.raises(DetectorError, match=message):
        DetectorConfig.read(detector)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            "custom_imports = dict(imports=['not_there'])",
            "cannot be read: ModuleNotFoundError: No module named 'not_there'",
        ),
        ('model = dict(', 'cannot be read: SyntaxError: '),
        (
            'test_pipeline = _base_.test_pipeline\ntest_pipeline.pop(1)\n'
            'test_dataloader = dict(dataset=dict(pipeline=test_pipeline))',
            'views need a `Resize` with a `scale`',
        ),
        (
            "optim_wrapper = dict(_delete_=True, type='OptimWrapper')",
            r"training: it lacks \['optim_wrapper.optimizer'\]",
        ),
    ],
)
def test_config_of_the_users_own_is_refused_with_the_reason(
    tmp_path, text, message
):
    with pytest.raises(DetectorError, match=message):
        own_detector(tmp_path, text)


def test_config_that_is_not_there_is_named():
    for name in ('no/config.py', 'mmdet::retinanet/none.py'):
        with pytest.raises(FileNotFoundError, match=Path(name).name):
            DetectorConfig.read(name)


def test_no_weights_are_loaded_from_scratch():
    for name in (
        'pvt/retinanet_pvtv2-b0_fpn',
        'swin/retinanet_swin-t-p4-w7_fpn',
    ):
        detector = DetectorConfig.read(f'mmdet::{name}_1x_coco.py')
        changes = detector.make_scratch_changes()
        assert changes['backbone']['init_cfg'] is None


def test_each_backbone_has_its_own_word_for_not_frozen(tmp_path):
    efficientnet = 'efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py'
    regnet = 'regnet/retinanet_regnetx-800MF_fpn_1x_coco.py'
    for name, value in ((efficientnet, 0), (regnet, -1)):
        frozen = f'model = dict(backbone=dict(frozen_stages={value + 1}))'
        detector = own_detector(tmp_path, frozen, f'mmdet::{name}')
        backbone = detector.make_scratch_changes()['backbone']
        assert backbone['frozen_stages'] == value
    detector = DetectorConfig.read(f'mmdet::{efficientnet}')
    assert 'frozen_stages' not in detector.make_scratch_changes()['backbone']


def test_part_of_an_image_stays_one():
    assert resize_value((0.3, 1.0), 0.5, 32) == (0.3, 1.0)
    assert resize_value([(1333, 800), -320], 0.5, 32) == [(666, 384), -160]


def test_nothing_stays_frozen_from_scratch():
    detector = DetectorConfig.read(
        'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'
    )

    assert detector.make_scratch_changes() == dict(
        backbone=dict(
            init_cfg=None,
            frozen_stages=-1,
            norm_eval=False,
            norm_cfg=dict(requires_grad=True),
        )
    )


def test_smaller_images_stay_in_proportion():
    chosen = plan(detector=FAMILIES['mosaic_wrapper'], image_size=208)
    assert chosen.size_factor == 0.5

    pipeline = take_pipeline(
        DetectorConfig.read(FAMILIES['mosaic_wrapper']).train_dataset,
        chosen.size_factor,
        is_mix=True,
    )

    changes = [step.changes for step in pipeline if step.changes]
    assert changes == [
        dict(img_scale=(320, 320)),
        dict(border=(-160, -160)),
        dict(scale=(320, 320)),
    ]


def test_detector_of_one_size_stays_at_it():
    recipe = plan(detector=FAMILIES['fixed_size']).recipe
    assert recipe.scales == recipe.candidates == (1.0,)
    paper = plan(detector=FAMILIES['fixed_size'], recipe='paper').recipe
    assert not paper.candidates
    for family in ('fixed_size', 'stock_views'):
        with pytest.raises(DetectorError, match='leave --image-size out'):
            plan(detector=FAMILIES[family], image_size=320)


def test_scales_may_be_given():
    recipe = plan(scales=(1, 1.5)).recipe

    assert recipe == replace(RECIPES['measured'], scales=(1, 1.5))


@pytest.mark.slow
def test_paper_is_a_recipe(tmp_path):
    configs = written(
        tmp_path / 'cells',
        DetectorConfig.read(RETINANET),
        recipe=RECIPES['paper'],
    )

    annotate = configs['annotate']
    assert 'tune' not in configs
    assert len(annotate.model.views) == 18
    assert annotate.scales[0] == (666, 400)
    assert annotate.scales[-1] == (2000, 1200)
    assert annotate.model.merger == dict(type='BoxVotingMerger')
    assert 'counted' not in annotate.custom_hooks[0].selection


@pytest.mark.slow
def test_measured_recipe_counts_the_validation_images(tmp_path):
    configs = written(tmp_path / 'cells', DetectorConfig.read(RETINANET))

    (hook,) = configs['annotate'].custom_hooks
    truth = configs['annotate'].held_out.ann_file
    assert hook.selection.counted == [truth]
    assert hook.selection.calibrates_boxes
    assert hook.selection.validation == dict(
        detections='work_dirs/cells/validate/detections', ann_file=truth
    )
    assert len(configs['annotate'].model.views) == 6


def test_boxes_of_masks_are_not_calibrated():
    recipe = RECIPES['measured']

    assert recipe.make_selection('val', has_masks=False)['calibrates_boxes']
    assert recipe.make_selection('val', has_masks=True).keys() == {'counted'}


@pytest.mark.slow
def test_candidates_of_tuning_include_the_views_of_annotation(tmp_path):
    configs = written(tmp_path / 'cells', DetectorConfig.read(RETINANET))

    candidates = configs['tune'].model.views
    assert len(candidates) == 14
    assert all(v in candidates for v in configs['annotate'].model.views)
    assert configs['tune'].model.keep_views
    (hook,) = configs['tune'].custom_hooks
    assert hook.type == 'TuneHook'
    assert hook.ann_file == configs['tune'].held_out.ann_file
    assert hook.labeled == configs['annotate'].custom_hooks[0].labeled


@pytest.mark.slow
def test_candidates_are_not_flipped_if_that_is_not_wanted(tmp_path):
    detector = DetectorConfig.read(RETINANET)

    tune = written(tmp_path / 'cells', detector, flip=False)['tune']

    assert [len(view) for view in tune.model.views] == [1] * 7


@pytest.mark.slow
def test_flips_of_the_training_are_candidates(tmp_path):
    flips = "dict(type='RandomFlip', prob=0.5, direction=['vertical'])"
    detector = own_detector(
        tmp_path,
        f"""
train_pipeline = [*_base_.train_pipeline, {flips}]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
""",
    )

    views = written(tmp_path / 'cells', detector)['tune'].model.views

    assert views[1][1] == dict(type='Flip')
    assert views[2][1] == dict(type='Flip', direction='vertical')
    assert len(views) == 21


def test_horizontal_flips_are_candidates_of_any_detector(tmp_path):
    detector = own_detector(
        tmp_path,
        """
train_pipeline = _base_.train_pipeline[:2]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
""",
    )

    assert find_flips(detector) == ['horizontal']


@pytest.mark.parametrize(
    ('transform', 'directions'),
    [
        (dict(type='RandomFlip'), ['horizontal']),
        (dict(type='RandomFlip', direction='vertical'), ['vertical']),
        (dict(type='RandomFlip', direction=['diagonal']), ['diagonal']),
        (dict(type='RandomShift', direction='vertical'), []),
    ],
)
def test_directions_are_those_of_flips(transform, directions):
    assert list(list_directions(transform)) == directions


def test_flip_has_no_needless_direction():
    assert make_flip('horizontal') == dict(type='Flip')
    assert make_flip('diagonal') == dict(type='Flip', direction='diagonal')


@pytest.mark.slow
def test_many_validation_images_are_thinned_for_tuning(tmp_path):
    detector = DetectorConfig.read(RETINANET)

    tune = written(tmp_path / 'cells', detector, num_val=1201)['tune']

    indices = tune.test_dataloader.dataset.indices
    assert indices[:3] == [0, 3, 6]
    assert len(indices) == 401


@pytest.mark.parametrize(
    'options',
    [
        dict(batch_size=0),
        dict(gpus=0),
        dict(student_iterations=-1),
        dict(ratio=(0, 1)),
    ],
)
def test_numbers_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))} must be'):
        ExperimentOptions(**{**FULL, **options})


@pytest.fixture(scope='module')
def first() -> list[tuple[str, Path]]:
    """What `done` is, once it is done."""
    return []


@pytest.fixture
def done(first, sources, tmp_path, call_tool) -> tuple[str, Path]:
    """What the tool prints, and the folder that it writes."""
    if first:
        return first[0]
    out = tmp_path / 'red cells'
    options = [
        part
        for name, value in sources.items()
        for part in (f'--{name.replace("_", "-")}', value)
    ]
    result = call_tool(
        'init_experiment', out, '--detector', RETINANET,
        *options, '--from-scratch', '--iterations', 3, '--no-flip',
        '--scales', 1, 1.5, '--gpus', 2, '--no-rehearsal',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    first.append((result.stdout, out))
    return first[0]


@pytest.mark.slow
@pytest.mark.xdist_group('init')
def test_tool_says_what_it_chose(done):
    text, _ = done

    assert text.startswith('detector ')
    assert '2 labeled, 5 unlabeled, 2 to validate' in text
    assert '\nchanged     batch_sampler AspectRatioBatchSampler: none' in text
    assert '1333 x 800 at test time, views 1 to 1.5 times' in text
    assert '(0.01, so that for 4 it is 0.0025; see `auto_scale_lr`)' in text
    assert '\naugmented   RandomFlip (horizontal)\n' in text
    says_time = re.search(r'\ntime        roughly [\d.]+ (min|h) on ', text)
    assert bool(says_time) != torch.cuda.is_available()


@pytest.mark.slow
@pytest.mark.xdist_group('init')
def test_tool_says_what_is_next(done):
    text, out = done

    next_command = f"python tools/distill.py '{out}' --control"
    assert text.splitlines()[-1] == (
        f'{next_command} --launcher pytorch --gpus 2'
    )


@pytest.mark.slow
@pytest.mark.xdist_group('init')
def test_tool_writes_the_views_that_were_asked_for(done):
    _, out = done

    annotate = Config.fromfile(out / 'annotate.py')
    assert [view[0].scale for view in annotate.model.views] == [
        (1333, 800), (2000, 1200),
    ]  # fmt: skip


# --- all of it -------------------------------------------------------------

# As users have them: a config of their own, with workers that stay.
OWN_DETECTOR = """
_base_ = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'
model = dict(
    backbone=dict(deepen_factor=0.1, widen_factor=0.125),
    neck=dict(in_channels=[32, 64, 128], out_channels=16, num_csp_blocks=1),
    bbox_head=dict(in_channels=16, feat_channels=16),
)
# A worker that was forked in the process of the tests ends late.
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
"""


@pytest.mark.slow
def test_experiment_runs_as_it_was_written(
    sources, tmp_path, call_tool, stages_here
):
    detector = tmp_path / 'my_yolox.py'
    detector.write_text(OWN_DETECTOR)
    options = ExperimentOptions(
        scales=[1], ratio=(6, 4), batch_size=2, iterations=3, image_size=128
    )
    out, work_dir = tmp_path / 'cells', tmp_path / 'work'
    init_experiment(out, str(detector), Sources(**sources), options)

    done = call_tool('distill', out, '--work-dir', work_dir)

    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((work_dir / 'summary.json').read_text())
    assert summary['pseudo_labels']['images'] == 5
    assert {'teacher', 'student'} <= summary.keys()


def test_argument_that_a_model_lacks_is_named():
    with pytest.raises(DetectorError, match='ResNet has no argument frozen'):
        find_default('ResNet', 'frozen')


def test_signal_leaves_the_experiment_as_it_was(
    sources, tmp_path, call_tool, request
):
    given = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, given))
    out, detector = tmp_path / 'cells', tmp_path / 'stop.py'
    out.mkdir()
    (out / 'teacher.py').write_text('mine')
    detector.write_text(
        'import posix\nposix.kill(posix.getpid(), 15)  # SIGTERM\n'
    )
    before = sorted(tmp_path.iterdir())

    done = call_tool(
        'init_experiment', out, '--detector', detector, '--overwrite',
        *(
            part
            for name, value in sources.items()
            for part in (f'--{name.replace("_", "-")}', value)
        ),
    )  # fmt: skip

    assert done.returncode == 128 + signal.SIGTERM
    assert (out / 'teacher.py').read_text() == 'mine'
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_detector_that_cannot_be_built_is_refused(sources, tmp_path):
    detector = own_detector(tmp_path, "model = dict(neck=dict(num_outs='x'))")

    with pytest.raises(DetectorError, match='with this data: TypeError: '):
        init_experiment(
            tmp_path / 'new',
            str(tmp_path / 'own_detector.py'),
            Sources(**sources),
            ExperimentOptions(**FULL),
        )

    assert detector.cfg.model.neck.num_outs == 'x'
    assert not (tmp_path / 'new').exists()


def test_folder_that_exists_is_left_alone(sources, tmp_path):
    with pytest.raises(FileExistsError, match='exists already: see --overwr'):
        init_experiment(
            tmp_path, RETINANET, Sources(**sources), ExperimentOptions(**FULL)
        )


@pytest.mark.slow
def test_code_in_what_the_detector_loads_is_not_run(sources, tmp_path):
    made, evil = tmp_path / 'made', tmp_path / 'evil.pth'
    evil.write_bytes(pickle.dumps(Call(os.system, f'touch {made}')))
    base = tmp_path / 'ld.py'
    base.write_text(
        "_base_ = 'mmdet::ld/ld_r18-gflv1-r101_fpn_1x_coco.py'\n"
        f'model = dict(teacher_ckpt={str(evil)!r}, teacher_config='
        f'dict(_delete_=True, model={toy_detector_cfg()}))\n'
    )

    with pytest.raises(CheckpointError, match='evil.pth is refused, because'):
        init_experiment(
            tmp_path / 'new',
            str(base),
            Sources(**sources),
            ExperimentOptions(ratio=RATIO, from_scratch=True),
        )

    assert not made.exists()
    assert not (tmp_path / 'new').exists()


@MODELS.register_module()
class DemandingBackbone(torch.nn.Module):
    """Needs what is not there."""

    def __init__(self, needs: str) -> None:
        if needs == 'package':
            importlib.import_module('detectron9000')
        if needs == 'argument':
            DemandingBackbone(other=1)
        if needs == 'file':
            Path('no/config.py').read_bytes()
        raise URLError('no network')


@pytest.mark.parametrize(
    ('needs', 'message'),
    [
        ('package', r"not installed \(No module named 'detectron9000'\): ins"),
        ('file', r'reads a file that is not there \(no/config.py\): inherit'),
        ('argument', r'not be built \(.*other.*\): correct its config, whi'),
        ('weights', r'cannot be downloaded here \(no network\): inherit'),
    ],
)
def test_model_that_needs_what_is_not_there_is_refused_with_a_way_on(
    needs, message, sources, tmp_path
):
    detector = own_detector(
        tmp_path,
        "model = dict(backbone=dict(_delete_=True, type='DemandingBackbone', "
        f'needs={needs!r}))',
    )

    with pytest.raises(DetectorError, match=message):
        init_experiment(
            tmp_path / 'new',
            detector.name,
            Sources(**sources),
            ExperimentOptions(ratio=RATIO, from_scratch=True),
        )


@pytest.mark.parametrize(
    ('test_cfg', 'expected'),
    [
        (dict(max_per_img=300), 300),
        (dict(rcnn=dict(max_per_img=200), rpn=dict(max_per_img=999)), 200),
        (dict(max_per_img=100), None),
        (dict(rcnn=dict()), None),
        (None, None),
    ],
)
def test_mergers_keep_as_many_detections_as_the_detector(test_cfg, expected):
    detector = DetectorConfig('x', Config(dict(model=dict(test_cfg=test_cfg))))

    recipe = keep_all_detections(RECIPES['measured'], detector)

    assert recipe.merger.get('max_per_img') == expected
    assert recipe.masks.get('max_per_img') == expected
    assert recipe.merger['type'] == 'WBFMerger'
