"""PseudoLabelQuality: the quality of labels, as an evaluator of any config."""

from collections.abc import Sequence

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ...arguments import check_iou, check_score
from ...label_files.coco.contents import check_classes
from ...label_files.coco.reading import CocoError, read_truth
from .counts import Counts
from .label_quality import measure_quality, read_min_scores


@METRICS.register_module()
class PseudoLabelQuality(BaseMetric):
    """Precision and recall of the labels that a detector would give.

    It is a `test_evaluator` for any config whose images have the ids of the
    truth, as for `CocoMetric`. It returns `precision`, `recall` and `f1` of
    all classes together, `CLASS_precision` and so on of each class, and
    `bbox_mAP`, `bbox_mAP_50` and `bbox_mAP_75` of all detections. As in
    COCO's metrics, -1 stands for a value that is not defined. The table goes
    to the log.

    Args:
        ann_file: The COCO file of the true objects.
        pseudo_labels: A `pseudo_labels.json` whose `min_score` values are
            used; None if `min_score` is given.
        min_score: One score for all classes, in [0, 1]; None if
            `pseudo_labels` is given.
        iou: The least overlap at which a label is right, in (0, 1].
        collect_device: The device on which processes exchange their results,
            'cpu' or 'gpu'.
        prefix: The prefix of the names of the metrics; None for
            `pseudo_labels`.

    Raises:
        ValueError: If not exactly one of `pseudo_labels` and `min_score` is
            given, or if `min_score` or `iou` is out of range.
        FileNotFoundError: If a file is missing.
        CocoError: If a file cannot be used, the classes of the files differ,
            or `pseudo_labels` has no `min_score`.
    """

    default_prefix = 'pseudo_labels'

    def __init__(
        self,
        ann_file: str,
        pseudo_labels: str | None = None,
        min_score: float | None = None,
        iou: float = 0.5,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        if (pseudo_labels is None) == (min_score is None):
            raise ValueError(
                'exactly one of pseudo_labels and min_score must be given, '
                f'got pseudo_labels={pseudo_labels} and min_score={min_score}'
            )
        check_iou(iou)
        truth = read_truth(ann_file)
        self.ann_file = ann_file
        self.iou = iou
        self._categories = truth['categories']
        self._names = {i['id']: i['file_name'] for i in truth['images']}
        if min_score is not None:
            check_score('min_score', min_score)
            names = [category['name'] for category in self._categories]
            self.min_scores: dict[str, float | None] = dict.fromkeys(
                names, min_score
            )
        elif pseudo_labels is not None:
            self.min_scores = read_min_scores(pseudo_labels)
            check_classes(list(self.min_scores), self._categories, ann_file)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the detections of a batch.

        Args:
            data_batch: The batch; it is not used.
            data_samples: The results of the batch, with `img_id`, `ori_shape`
                and `pred_instances` (boxes xyxy in pixels of the original
                image).

        Raises:
            CocoError: If the dataset has other classes than `ann_file`, so
                that boxes would count for another class, or other images.
        """
        # The evaluator sets `dataset_meta` only after `__init__`.
        classes = self.dataset_meta['classes']
        check_classes(classes, self._categories, self.ann_file)
        self.results += map(self._row, data_samples)

    def _row(self, sample: dict) -> dict:
        if sample['img_id'] not in self._names:
            raise CocoError(
                f'{self.ann_file} has no image with the id '
                f'{sample["img_id"]}: take the `ann_file` of the dataset'
            )
        height, width = sample['ori_shape'][:2]
        found = sample['pred_instances']
        return dict(
            file_name=self._names[sample['img_id']],
            width=width,
            height=height,
            # Off the device: the rows of all batches stay until the end, and
            # processes exchange them.
            bboxes_xyxy=found['bboxes'].cpu().numpy(),
            scores=found['scores'].cpu().numpy(),
            labels=found['labels'].cpu().numpy(),
        )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compare the detections with the truth.

        Args:
            results: The rows of all processes.

        Returns:
            The metrics that the docstring of the class names, from 0 to 1, or
            -1; without `prefix`, which MMEngine adds.

        Raises:
            CocoError: If the truth lacks the class of a detection, or cannot
                be used any more.
            FileNotFoundError: If the truth is gone.
        """
        quality = measure_quality(
            results, self.ann_file, self.min_scores, self.iou
        )
        print_log(f'\n{quality.format_table()}', 'current')
        metrics = collect_shares(quality.total)
        for name, of_class in quality.classes.items():
            metrics |= collect_shares(of_class.counts, f'{name}_')
        return metrics | quality.detections


def collect_shares(counts: Counts, prefix: str = '') -> dict[str, float]:
    """Collect precision, recall and F1 by name.

    Args:
        counts: The counts of a class, or of all.
        prefix: What the names begin with.

    Returns:
        The shares; -1, as in COCO's metrics, for one that is not defined.
    """
    return {
        # A log takes only numbers. -1 is what COCO writes for "not defined".
        f'{prefix}{name}': -1.0 if value is None else value
        for name, value in counts.shares.items()
    }
