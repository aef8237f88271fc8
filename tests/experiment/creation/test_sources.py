"""Which data and classes an experiment without labeled images has."""

from pathlib import Path

import pytest
from mmengine.config import Config

from projects.data_distillation.experiment.creation.sources import (
    LabelFreeSources,
    list_classes,
)
from projects.data_distillation.experiment.given_teachers.teacher import (
    GivenTeacher,
)
from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.files.atomic import read_json
from projects.data_distillation.multi_view.inference.class_maps import (
    ClassNames,
)


def teacher(classes=(), renamed=None, prompt=()) -> GivenTeacher:
    names = ClassNames(classes, renamed)
    return GivenTeacher(
        Path('t.pth'), 'a config', Config(), names, prompt=prompt
    )


@pytest.mark.parametrize(
    ('teachers', 'classes'),
    [
        ([teacher(['cat', 'dog'])], ['cat', 'dog']),
        (
            [teacher(['coach', 'cat', 'bus'], dict(coach='bus'))],
            ['bus', 'cat'],
        ),
        ([teacher(prompt=['a b=a big b', 'c=c=d'])], ['a b', 'c']),
        ([teacher(), teacher(['cat'])], ['cat']),
        ([teacher(prompt=['x=an x']), teacher(['cat'])], ['x']),
    ],
)
def test_classes_are_those_that_the_teachers_are_meant_for(teachers, classes):
    assert list_classes(teachers) == classes


def test_unknown_classes_must_be_named(drawn):
    sources = dict(unlabeled=str(drawn.folder / 'unlabeled'))

    with pytest.raises(ValueError, match='wanted.* name them, with --classes'):
        LabelFreeSources(**sources).gather(drawn.folder, [teacher()])

    data = LabelFreeSources(**sources, classes=['red', 'b c']).gather(
        drawn.folder, [teacher()]
    )
    assert data.classes == ('red', 'b c')
    assert read_json(Path(data.labeled.ann_file)) == dict(
        categories=[dict(id=1, name='red'), dict(id=2, name='b c')]
    )
    assert data.with_labels == []
    assert 'no model is evaluated' in data.notes[0]


def test_validation_file_says_the_classes(drawn):
    sources = LabelFreeSources(
        str(drawn.folder / 'unlabeled.json'),
        drawn.folder / 'unlabeled',
        val=drawn.folder / 'labeled.json',
        val_images=drawn.folder / 'labeled',
    )

    data = sources.gather(drawn.folder, [teacher(['other'])])

    categories = read_json(Path(data.labeled.ann_file))['categories']
    assert categories == drawn.labeled['categories']
    assert data.classes == tuple(one['name'] for one in categories)
    assert data.with_labels == [data.val] and data.val.count == 2
    assert not data.notes


def test_images_of_a_file_are_beside_it_unless_a_folder_is_named(drawn):
    file = drawn.folder / 'unlabeled/here.json'
    file.write_text((drawn.folder / 'unlabeled.json').read_text())

    data = LabelFreeSources(str(file)).gather(drawn.folder, [teacher(['a'])])

    assert data.unlabeled.folder == f'{drawn.folder}/unlabeled/'
    assert data.unlabeled.count == 5


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(unlabeled='rest'), '--unlabeled rest takes .* needs --labeled'),
        (dict(unlabeled='90%'), '--unlabeled 90% takes .* needs --labeled'),
        (dict(val=Path('v.json')), '--val and --val-images go together'),
        (dict(val_images=Path('v')), '--val and --val-images go together'),
        (
            dict(val=Path('v.json'), val_images=Path('v'), classes=['a']),
            '--classes goes only without --val: v.json has the classes',
        ),
        (dict(classes=['a', 'a']), r"each class once, got \['a', 'a'\]"),
    ],
)
def test_options_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LabelFreeSources(**{'unlabeled': 'images', **change})


def test_labeled_and_label_free_sources_name_their_data_alike():
    names = set(LabelFreeSources.__dataclass_fields__)

    assert names - set(Sources.__dataclass_fields__) == {'classes'}
