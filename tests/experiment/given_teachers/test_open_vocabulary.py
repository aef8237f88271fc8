"""Teachers that find what texts say: real models, small and random.

BERT is made on disk. No accuracy can be measured with it.
"""

import json
from pathlib import Path

import pytest
import torch
from builders import DrawnImages
from given_teachers import write_detector, write_teacher, write_val
from mmdet.apis import inference_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
)
from projects.data_distillation.experiment.creation.label_free import (
    init_label_free,
)
from projects.data_distillation.experiment.creation.sources import (
    LabelFreeSources,
)
from projects.data_distillation.experiment.given_teachers.options import (
    TeacherOptions,
)
from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.experiment.scaffold.init import (
    ExperimentOptions,
    init_experiment,
)
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.files.atomic import read_json
from projects.data_distillation.multi_view.inference.point_encoding import (
    mend_point_encoding,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    DetectionStore,
)

pytestmark = pytest.mark.slow
WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *'.?;,', 'a', 'red']
WORDS += ['green', 'box', 'wall']
BACKBONE = dict(
    _delete_=True,
    type='ResNet',
    depth=18,
    base_channels=8,
    out_indices=(1, 2, 3),
    norm_cfg=dict(type='BN'),
)
DINO = dict(
    num_queries=20,
    backbone=BACKBONE,
    neck=dict(in_channels=[16, 32, 64]),
    encoder=dict(num_layers=1, num_cp=0),
    decoder=dict(num_layers=1),
    test_cfg=dict(max_per_img=10),
)
GLIP = dict(
    backbone=BACKBONE,
    neck=dict(in_channels=[16, 32, 64]),
    bbox_head=dict(num_dyhead_blocks=1),
    test_cfg=dict(max_per_img=10, score_thr=0.0),
)
BIASES = ('cls_branches.0.bias', 'cls_branches.1.bias', 'head.bias0')
FAMILIES = {
    'grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_cap4m': DINO,
    'mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365': DINO,
    'glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365': GLIP,
}


@pytest.fixture(scope='module')
def bert(tmp_path_factory) -> Path:
    """A language model of one layer that knows a few words."""
    transformers = pytest.importorskip(
        'transformers', reason='detectors that read texts need transformers'
    )
    folder = tmp_path_factory.mktemp('bert')
    (folder / 'vocab.txt').write_text('\n'.join(WORDS))
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer = transformers.BertTokenizerFast(str(folder / 'vocab.txt'))
    tokenizer.save_pretrained(folder)
    return folder


def write_open_teacher(folder: Path, name: str, bert: Path) -> Path:
    """Write the checkpoint and the config of a detector that reads texts."""
    changes = dict(FAMILIES[name], language_model=dict(name=str(bert)))
    if 'bbox_head' in changes:
        head = dict(changes['bbox_head'], lang_model_name=str(bert))
        changes['bbox_head'] = head
    config = folder / 'open.py'
    config.write_text(
        f"_base_ = 'mmdet::{name}.py'\n"
        f'model = {changes!r}\n'
        "_base_.test_pipeline[1]['scale'] = (64, 96)\n"
        'test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))\n'
    )
    init_default_scope('mmdet')
    torch.manual_seed(0)
    weights = MODELS.build(Config.fromfile(config).model).state_dict()
    # The converted checkpoints of the model zoo lack them.
    weights = {k: v for k, v in weights.items() if 'dn_query' not in k}
    if 'level_embed' in weights:  # It is not set yet, and may be NaN.
        weights['level_embed'].zero_()
    # Scores near 0 would be left out.
    for key, value in weights.items():
        if key.endswith(BIASES):
            value.zero_()
    torch.save(dict(state_dict=weights), folder / 'open.pth')
    return config


@pytest.fixture(scope='module')
def sources(tmp_path_factory) -> dict:
    return write_val(DrawnImages(tmp_path_factory.mktemp('open') / 'drawn'))


def init(folder: Path, sources: dict, checkpoints: list, **options) -> str:
    """Write an experiment, and return the lines for the user."""
    lines = init_experiment(
        folder / 'exp',
        str(write_detector(folder / 'student.py')),
        Sources(**sources),
        ExperimentOptions(ratio=(6, 4), iterations=1, scales=[0.9, 1.0]),
        TeacherOptions(teacher=checkpoints, **options),
    )
    return '\n'.join(lines)


@pytest.mark.parametrize('name', FAMILIES)
def test_teacher_finds_what_the_texts_say(
    name, bert, sources, tmp_path, stages_here
):
    """Its evaluation is what MMDetection's own demo would find."""
    config = write_open_teacher(tmp_path, name, bert)
    checkpoint = tmp_path / 'open.pth'
    shown = init(
        tmp_path,
        sources,
        [checkpoint],
        teacher_config=[str(config)],
        prompt=['green=a green wall'],
    )
    assert 'finds what texts say; config' in shown
    assert 'looks for: red; a green wall' in shown
    stages = Stages(Experiment(tmp_path / 'exp'), Launcher())

    stages.evaluate_given(0, tmp_path)
    file = stages.annotate(tmp_path / 'annotate', checkpoint)

    labels = read_json(file)
    assert len(labels['images']) == 5
    assert {a['category_id'] for a in labels['annotations']} == {7, 3}
    store = DetectionStore(tmp_path / 'annotate/detections')
    assert store.require_provenance()['prompt'] == dict(
        red=dict(name='red'), green=dict(name='a green wall')
    )
    results = read_json(tmp_path / 'teacher/test/results.bbox.json')
    expected = find_by_hand(config, checkpoint, sources)
    assert expected
    found = {(one['category_id'], round(one['score'], 4)) for one in results}
    assert expected <= found


def find_by_hand(config: Path, checkpoint: Path, sources: dict) -> set:
    """Return category and score of what is found in the first image."""
    cfg = Config.fromfile(config)
    detector = MODELS.build(cfg.model)
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    detector.load_state_dict(weights, strict=False)
    mend_point_encoding(detector.eval())
    detector.cfg = cfg  # which `init_detector` sets
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline = [one for one in pipeline if one.type != 'LoadAnnotations']
    info = json.loads(sources['val'].read_text())['images'][0]
    sample = inference_detector(
        detector,
        str(sources['val_images'] / info['file_name']),
        Compose(pipeline),
        text_prompt='red . a green wall',
        custom_entities=True,
    )
    found = sample.pred_instances
    return {
        ((7, 3)[label], round(score, 4))
        for label, score in zip(found.labels.tolist(), found.scores.tolist())
    }


def test_texts_that_are_not_read_are_refused(bert, sources, tmp_path):
    name = list(FAMILIES)[1]
    config = write_open_teacher(tmp_path, name, bert)
    given = dict(teacher_config=[str(config)])

    for prompt, message in (
        ('red=beyond words', "knows no word of 'beyond words'.*--prompt 'red"),
        ('red=' + 'red ' * 254, 'have 259 tokens, and .* the first 256'),
    ):
        with pytest.raises(DetectorError, match=message):
            init(
                tmp_path,
                sources,
                [tmp_path / 'open.pth'],
                **given,
                prompt=[prompt],
            )
    for name in ('classes_from', 'class_map'):
        value = [sources['labeled']] if name == 'classes_from' else ['a=red']
        with pytest.raises(DetectorError, match='use --prompt CLASS=TEXT'):
            init(
                tmp_path,
                sources,
                [tmp_path / 'open.pth'],
                **given,
                **{name: value},
            )


def test_texts_alone_say_what_is_labeled(bert, sources, tmp_path, stages_here):
    """Neither labeled nor validation images are needed."""
    config = write_open_teacher(tmp_path, list(FAMILIES)[1], bert)
    checkpoint = tmp_path / 'open.pth'
    options = dict(type='CountSelector', per_image=3)
    shown = init_label_free(
        tmp_path / 'exp',
        str(write_detector(tmp_path / 'student.py')),
        LabelFreeSources(sources['unlabeled']),
        ExperimentOptions(ratio=(6, 4), iterations=1, selector=options),
        TeacherOptions(
            teacher=[checkpoint],
            teacher_config=[str(config)],
            prompt=['box=a red box', 'wall=a green wall'],
        ),
    )
    assert 'classes     2: box, wall' in shown
    stages = Stages(Experiment(tmp_path / 'exp'), Launcher())

    labels = read_json(stages.annotate(tmp_path / 'annotate', checkpoint))

    assert [one['name'] for one in labels['categories']] == ['box', 'wall']
    assert len(labels['annotations']) == 3 * 5


def test_teachers_with_classes_and_with_texts_annotate_together(
    bert, sources, tmp_path, stages_here
):
    config = write_open_teacher(tmp_path, list(FAMILIES)[2], bert)
    first = write_teacher(tmp_path / 'first.pth', width=8)
    meta = torch.load(first, weights_only=False)['meta']
    first.with_suffix('.py').write_text(meta['cfg'])
    init(
        tmp_path,
        sources,
        [first, tmp_path / 'open.pth'],
        teacher_config=[str(first.with_suffix('.py')), str(config)],
        class_map=['scarlet=red'],
    )
    stages = Stages(Experiment(tmp_path / 'exp'), Launcher())

    stages.evaluate_given(1, tmp_path)
    file = stages.annotate(tmp_path / 'annotate', first)

    assert read_json(file)['annotations']
    found = tmp_path / 'teacher2/test/results.bbox.json'
    assert {one['category_id'] for one in read_json(found)} == {7, 3}
