"""Data distillation (arXiv 1712.04440) on MMDetection.

1. teacher: train a detector on the labeled images.
2. annotate: `UnlabeledDataset` reads the unlabeled images, `MultiViewTTA`
   runs the teacher on the views of each, a merger makes one set of detections
   of them, `AnnotationHook` stores the detections, selects those that become
   pseudo labels, and writes them as a COCO file.
3. student: train the same detector from its initial weights on both, mixed by
   `SourceRatioSampler`.
4. compare teacher, student and the oracle that saw every label.

Importing this package registers all of it with MMDetection.
"""

from .datasets import CheckedCocoDataset, UnlabeledDataset
from .detections import DetectionStore
from .epochs import EpochHook
from .evaluator import PseudoLabelQuality
from .filters import MaxCornerSpread, MinSide, MinViews
from .hooks import AnnotationHook, DetectionHook
from .ignore_regions import IgnoreRegionsHook
from .mergers import (
    BoxVotingMerger,
    NMSMerger,
    SoftNMSMerger,
    WBFMerger,
)
from .resuming import ResumeHook
from .samplers import PendingSampler, SourceRatioSampler
from .selection import FixedSelector, MatchedSelector, PrecisionSelector
from .selection_rules import SelectionRules
from .strong_augmentation import StrongAugmentation
from .switching import SwitchPipelineHook
from .tta import MultiViewTTA
from .views import VIEW_TRANSFORMS, View, ViewTransform

__all__ = [
    'VIEW_TRANSFORMS',
    'AnnotationHook',
    'BoxVotingMerger',
    'CheckedCocoDataset',
    'DetectionHook',
    'DetectionStore',
    'EpochHook',
    'FixedSelector',
    'IgnoreRegionsHook',
    'MatchedSelector',
    'MaxCornerSpread',
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
    'UnlabeledDataset',
    'View',
    'ViewTransform',
    'WBFMerger',
]
