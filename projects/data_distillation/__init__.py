"""Data distillation (arXiv 1712.04440) on MMDetection.

1. teacher: train a detector on the labeled images.
2. annotate: `UnlabeledDataset` reads the unlabeled images, `MultiViewTTA`
   runs the teacher on the views of each, a merger makes one set of detections
   of them, `AnnotationHook` stores the detections, selects those that become
   pseudo labels, and writes them as a COCO file.
3. student: train the same detector from its initial weights on both, mixed by
   `SourceRatioSampler`.
4. compare teacher, student and the oracle that saw every label.

Importing this package registers all of it with MMDetection, and lets
MMDetection resize masks without moving them (`training/mask_resizing.py`). The
layers in `pyproject.toml` say which of its packages may import which.
"""

from . import quiet  # noqa: F401 - imports mmdet, before others do

# isort: split
from .experiment.given_teachers.given_model import (
    GivenDetector,
    GivenDetectorHook,
)
from .multi_view.inference.tta import MultiViewTTA
from .multi_view.merging.fusion import WBFMerger
from .multi_view.merging.suppression import (
    BoxVotingMerger,
    NMSMerger,
    SoftNMSMerger,
)
from .multi_view.views import (  # noqa: F401 - registers them
    colors,
    rotation,
    windows,
)
from .multi_view.views.transforms import VIEW_TRANSFORMS, ViewTransform
from .multi_view.views.view import View
from .pseudo_labels.annotation.annotation_hook import AnnotationHook
from .pseudo_labels.annotation.detection_hook import DetectionHook
from .pseudo_labels.annotation.sampler import PendingSampler
from .pseudo_labels.annotation.unlabeled import UnlabeledDataset
from .pseudo_labels.detections.store import DetectionStore
from .pseudo_labels.quality.class_metric import MendedCocoMetric
from .pseudo_labels.quality.metric import PseudoLabelQuality
from .pseudo_labels.selection.filters import (
    MaxCornerSpread,
    MinArea,
    MinMaskAgreement,
    MinSide,
    MinViews,
)
from .pseudo_labels.selection.given_counts import CountSelector
from .pseudo_labels.selection.rules import SelectionRules
from .pseudo_labels.selection.selectors import (
    FixedSelector,
    MatchedSelector,
    PrecisionSelector,
)
from .pseudo_labels.tuning.tune_hook import TuneHook
from .training import mask_resizing  # noqa: F401 - resizes masks exactly
from .training.channels_last import ChannelsLastHook
from .training.checked_dataset import CheckedCocoDataset
from .training.epoch_hooks import EpochHook, SwitchPipelineHook
from .training.finite_loss import FiniteLossHook
from .training.ignore_regions import IgnoreRegionsHook
from .training.ratio_sampler import SourceRatioSampler
from .training.resume import ResumeHook
from .training.strong_augmentation import StrongAugmentation
from .training.time_limit import TimeLimitHook
from .training.val_loop import ValOnTestLoop

__all__ = [
    'VIEW_TRANSFORMS',
    'AnnotationHook',
    'BoxVotingMerger',
    'ChannelsLastHook',
    'CheckedCocoDataset',
    'CountSelector',
    'DetectionHook',
    'DetectionStore',
    'EpochHook',
    'FiniteLossHook',
    'FixedSelector',
    'GivenDetector',
    'GivenDetectorHook',
    'IgnoreRegionsHook',
    'MatchedSelector',
    'MaxCornerSpread',
    'MendedCocoMetric',
    'MinArea',
    'MinMaskAgreement',
    'MinSide',
    'MinViews',
    'MultiViewTTA',
    'NMSMerger',
    'PendingSampler',
    'PrecisionSelector',
    'PseudoLabelQuality',
    'ResumeHook',
    'SelectionRules',
    'SoftNMSMerger',
    'SourceRatioSampler',
    'StrongAugmentation',
    'SwitchPipelineHook',
    'TimeLimitHook',
    'TuneHook',
    'UnlabeledDataset',
    'ValOnTestLoop',
    'View',
    'ViewTransform',
    'WBFMerger',
]
