"""What a teacher that reads texts is told to look for."""

from pathlib import Path

import pytest
import torch
from given_teachers import write_detector, write_val
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
    read_config,
)
from projects.data_distillation.experiment.given_teachers.options import (
    TeacherOptions,
)
from projects.data_distillation.experiment.given_teachers.prompts import (
    TEXT_KEYS,
    as_caption_prompt,
    check_reads,
    choose_texts,
)
from projects.data_distillation.experiment.given_teachers.teacher import (
    GivenTeacher,
)
from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.experiment.scaffold.detector import (
    DetectorConfig,
)
from projects.data_distillation.experiment.scaffold.given import (
    GivenExperiment,
)
from projects.data_distillation.experiment.scaffold.init import (
    ExperimentOptions,
    make_plan,
)
from projects.data_distillation.experiment.scaffold.views import Views
from projects.data_distillation.multi_view.inference.class_maps import (
    ClassNames,
)

FAMILIES = [
    'mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365',
    'glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365',
]


def test_texts_are_the_names_of_the_classes_or_those_given():
    assert choose_texts(['red', 'traffic_light', 'cell (old)'], []) == {
        'red': 'red',
        'traffic_light': 'traffic light',
        'cell (old)': 'cell',
    }
    prompts = ['x=y= a = b ', 'no. 5=five']
    texts = choose_texts(['x', 'x=y', 'no. 5'], prompts)
    assert texts == {'x': 'x', 'x=y': 'a = b', 'no. 5': 'five'}


def test_texts_are_found_by_the_names_as_mmdetection_reads_them():
    assert as_caption_prompt({'traffic_light (on)': 'a lamp'}) == {
        'traffic light ': dict(name='a lamp')
    }


@pytest.mark.parametrize(
    ('classes', 'prompts', 'message'),
    [
        (['red', 'no'], ['blue=a'], r'labeled file \(red, no\) at .*blue=a'),
        (['red', 'no'], ['red'], "got 'red'"),
        (['red', 'no'], ['red=a', 'red=b'], "at most once, got 'red=b'"),
        (['red', 'no'], ['red= '], "'red' must not be empty.*got ''"),
        (['red', 'no'], ['red=what?'], r"got 'what\?'.*--prompt 'red'="),
        (['red', 'no. 5'], [], "got 'no. 5'"),
        (['(a)', 'b'], [], "'\\(a\\)' must not be empty"),
        (['a', 'b'], ['b=A'], "'a' and 'b' are one for the teacher"),
        (['a_b', 'a b'], [], "'a_b' and 'a b' are one for the teacher"),
        (['a (x)', 'a (y)'], ['a (x)=1', 'a (y)=2'], 'give them other names'),
    ],
)
def test_text_that_would_be_cut_or_confused_is_refused(
    classes, prompts, message
):
    with pytest.raises(ValueError, match=message):
        choose_texts(classes, prompts)


class Split:
    """A tokenizer: one token for each word, and one at each end."""

    unk_token_id = 0

    def __call__(self, text, add_special_tokens=True):
        tokens = [int(word != 'unknown') for word in text.split()]
        return dict(input_ids=tokens + [1, 1] * add_special_tokens)


class Reader:
    """What is asked of a detector that reads texts."""

    def __init__(self, max_tokens=6, **test_cfg):
        self.language_model = self
        self.tokenizer, self.max_tokens = Split(), max_tokens
        self.test_cfg = test_cfg

    def to_plain_text_prompts(self, texts):
        return '. '.join(texts), []


def test_texts_that_are_not_read_are_refused():
    check_reads(Reader(), dict(a='a b', b='unknown c'))
    for reader, texts, message in (
        (Reader(), dict(a='a b', b='c d e'), 'have 7 tokens, .* first 6'),
        (Reader(), dict(a='a', b='unknown'), "word of 'unknown'.*'b'=TEXT"),
        (Reader(chunked_size=40), dict(a='a'), 'left out: .* Got 40'),
    ):
        with pytest.raises(DetectorError, match=message):
            check_reads(reader, texts)


@pytest.mark.slow
def test_images_carry_the_texts(drawn, tmp_path):
    """Those of the evaluation, of the annotation and of the validation."""
    detector = DetectorConfig.read(str(write_detector(tmp_path / 'a.py')))
    data = Sources(**write_val(drawn)).gather(tmp_path / 'annotations', {})
    options = ExperimentOptions(ratio=(6, 4), iterations=1, scales=[1.0])
    plan = make_plan(detector, data, options)
    cfg = read_config(f'mmdet::{FAMILIES[0]}.py')
    cfg.test_dataloader.dataset.pipeline[1].scale = (64, 96)
    # To write all of it takes seconds.
    cfg.model = dict(type=cfg.model.type, language_model=dict(type='Bert'))
    teacher = GivenTeacher(Path('a.pth'), 'own', cfg, prompt=['red=a wall'])
    experiment = GivenExperiment(
        'exp', detector, data, plan, [teacher], plan.recipe
    )

    experiment.write(tmp_path / 'exp')

    init_default_scope('mmdet')
    expected = dict(red=dict(name='a wall'), green=dict(name='green'))
    for stage in ('teacher', 'annotate', 'validate'):
        cfg = Config.fromfile(tmp_path / f'exp/{stage}.py')
        sample = DATASETS.build(cfg.test_dataloader.dataset)[0]['data_samples']
        for view in sample if isinstance(sample, list) else [sample]:
            assert [view.get(key) for key in TEXT_KEYS] == [
                ('red', 'green'),
                True,
                expected,
            ]
    assert 'looks for: a wall; green' in '\n'.join(
        experiment.explain(['teacher '])
    )
    plain = Config.fromfile(tmp_path / 'exp/student.py')
    assert 'return_classes' not in plain.test_dataloader.dataset


def test_own_views_of_a_teacher_carry_the_texts(drawn, tmp_path):
    detector = DetectorConfig.read(str(write_detector(tmp_path / 'a.py')))
    data = Sources(**write_val(drawn)).gather(tmp_path / 'annotations', {})
    options = ExperimentOptions(ratio=(6, 4), iterations=1)
    plan = make_plan(detector, data, options)
    cfg = read_config(f'mmdet::{FAMILIES[0]}.py')
    load, resize, _, pack = cfg.test_dataloader.dataset.pipeline
    ways = [[resize], [pack]]
    cfg.tta_pipeline = [load, dict(type='TestTimeAug', transforms=ways)]
    teacher = GivenTeacher(Path('a.pth'), 'own', cfg)
    experiment = GivenExperiment(
        'exp', detector, data, plan, [teacher], plan.recipe
    )

    _, views = experiment.make_given_teacher()['teacher_tta_pipeline']

    assert set(TEXT_KEYS) <= set(views['transforms'][1][0]['meta_keys'])
    assert cfg.tta_pipeline[1].transforms[1][0].meta_keys == pack.meta_keys


def test_images_for_views_on_the_device_carry_the_texts(drawn, tmp_path):
    detector = DetectorConfig.read(str(write_detector(tmp_path / 'a.py')))
    assert not detector.pipeline_makes_views
    data = Sources(**write_val(drawn)).gather(tmp_path / 'annotations', {})
    options = ExperimentOptions(ratio=(6, 4), iterations=1, scales=[1.0])
    plan = make_plan(detector, data, options)

    _, pack = Views(detector, plan, keys=TEXT_KEYS).pipeline()

    assert set(TEXT_KEYS) <= set(pack['meta_keys'])


def test_options_go_only_with_teachers_of_their_kind(tmp_path):
    for name in ('open.pth', 'closed.pth'):
        torch.save(dict(state_dict={}), tmp_path / name)
    reads = dict(
        teacher=[tmp_path / 'open.pth'],
        teacher_config=[f'mmdet::{FAMILIES[1]}.py'],
    )
    closed = dict(
        teacher=[tmp_path / 'closed.pth'],
        teacher_config=['mmdet::atss/atss_r50_fpn_1x_coco.py'],
    )

    names = tmp_path / 'names.txt'
    names.write_text('a')
    assert TeacherOptions().read() == []
    (teacher,) = TeacherOptions(**reads, prompt=['a=b']).read()
    assert teacher.prompt == ['a=b']
    assert 'GLIP, finds what texts say' in teacher.describe()
    both = {key: reads[key] + closed[key] for key in reads}
    options = dict(class_map=['dog=a'], prompt=['a=b'])
    first, second = TeacherOptions(**both, **options).read()
    assert (first.names, first.prompt) == (ClassNames(), ['a=b'])
    assert (second.names.renamed, second.prompt) == (dict(dog='a'), ())
    for options, message in (
        (dict(closed, prompt=['a=b']), '--prompt is for .* got .*, a ATSS'),
        (dict(reads, class_map=['a=b']), 'got .*, a GLIP.*use --prompt'),
        (dict(reads, classes_from=[names]), 'got .*, a GLIP.*use --prompt'),
    ):
        with pytest.raises(DetectorError, match=message):
            TeacherOptions(**options).read()
