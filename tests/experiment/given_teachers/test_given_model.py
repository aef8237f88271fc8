"""A teacher that somebody gives, and what it cannot be used for."""

from types import SimpleNamespace

import pytest
from builders import CLASSES, toy_detector_cfg
from mmdet.registry import MODELS

from projects.data_distillation.experiment.given_teachers.given_model import (
    GivenDetector,
    GivenDetectorHook,
)


def test_given_detector_has_no_views_to_merge():
    detector = GivenDetector(toy_detector_cfg())

    with pytest.raises(NotImplementedError, match='runs on plain images'):
        detector.merge_preds([])


def test_checkpoint_without_meta_has_the_classes_that_are_wanted():
    model = GivenDetector(toy_detector_cfg())
    dataset = SimpleNamespace(metainfo=dict(classes=CLASSES))
    runner = SimpleNamespace(
        model=model, test_dataloader=SimpleNamespace(dataset=dataset)
    )
    weights = model.module.state_dict()

    GivenDetectorHook().after_load_checkpoint(
        runner, dict(state_dict=weights, meta=None)
    )

    assert model.class_map is None


def test_hook_of_given_detectors_refuses_another_model():
    runner = SimpleNamespace(model=MODELS.build(toy_detector_cfg()))

    with pytest.raises(TypeError, match='is for model=.* got ToyDetector'):
        GivenDetectorHook().after_load_checkpoint(runner, {})
