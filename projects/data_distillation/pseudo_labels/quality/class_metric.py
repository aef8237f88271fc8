"""MendedCocoMetric: MMDetection's CocoMetric, with the right class names."""

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from pycocotools import mask as coco_mask


# The same name in configs, so that all experiments have it, also those that
# were written before.
@METRICS.register_module(name='CocoMetric', force=True)
class MendedCocoMetric(CocoMetric):
    """MMDetection's CocoMetric, whose values by class are those of the class.

    MMDetection gives the values in the order of the ids to names in the order
    of the file. If the ids in a file do not ascend, `classwise=True` then
    gives one class the AP of another. Here both are in the order of the ids.
    Values of all classes together were right, and stay the same.

    MMDetection also calls the values by class of boxes and those of masks
    alike. With both, `CLASS_precision` is that of boxes here, and
    `CLASS_segm_precision` that of masks.

    A box without area becomes the box around its mask: SOLO and SOLOv2 give
    no others, so that their box mAP would be 0.

    Importing the project replaces the metric of the name `CocoMetric`.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the detections.

        Args:
            results: Pairs of the truth and the detections of an image.

        Returns:
            The metrics by name, as MMDetection's metric gives them; with
            `classwise`, `CLASS_precision` is that of a class.
        """
        every = list(self.metrics)  # type: ignore[has-type]
        if not (self.classwise and {'bbox', 'segm'} <= set(every)):
            return self._compute(results)
        values = {}
        try:
            for metric in every:
                self.metrics = [metric]
                for name, value in self._compute(results).items():
                    values[
                        rename_mask_metric(name) if metric == 'segm' else name
                    ] = value
        finally:
            self.metrics = every
        return values

    def _compute(self, results: list) -> dict[str, float]:
        """Evaluate the detections by `metrics`."""
        # In the order of the file, which `results2json` needs.
        self.cat_ids: list[int] | None = None
        return super().compute_metrics(results)

    def results2json(
        self, results: list[dict], outfile_prefix: str
    ) -> dict[str, str]:
        """Write the detections to files.

        Args:
            results: The detections of the images, with labels in the order of
                the file.
            outfile_prefix: The beginning of the paths of the files.

        Returns:
            What a file holds (`bbox`, `proposal`, `segm`) -> its path.
        """
        boxed = [add_boxes(result) for result in results]
        files = super().results2json(boxed, outfile_prefix)
        # pycocotools evaluates in this order. Labels are no longer needed.
        self.cat_ids = sorted(self.cat_ids or ())
        return files


def add_boxes(result: dict) -> dict:
    """Replace the boxes without area by those around their masks.

    Args:
        result: The detections of an image: `bboxes`, shape (n, 4), xyxy in
            pixels of the original image, and perhaps `masks`, n times RLE. It
            is not changed.

    Returns:
        The same result if no box lacks an area or there are no masks;
        otherwise a copy with other boxes, in the same form. That of an empty
        mask has no area still.
    """
    bboxes_xyxy, masks = np.asarray(result['bboxes']), result.get('masks')
    is_flat = (bboxes_xyxy[:, 2:] <= bboxes_xyxy[:, :2]).any(axis=1)
    if masks is None or not is_flat.any():
        return result
    around = coco_mask.toBbox([masks[i] for i in np.flatnonzero(is_flat)])
    around[:, 2:] += around[:, :2]  # xywh to xyxy
    bboxes_xyxy = bboxes_xyxy.copy()
    bboxes_xyxy[is_flat] = around
    return dict(result, bboxes=bboxes_xyxy)


def rename_mask_metric(name: str) -> str:
    """Rename a metric of masks that a metric of boxes has the name of.

    Args:
        name: A name of MMDetection's, such as `car_precision`.

    Returns:
        `car_segm_precision` for it; a name that does not end so stays.
    """
    of_class = name.removesuffix('_precision')
    return name if of_class == name else f'{of_class}_segm_precision'
