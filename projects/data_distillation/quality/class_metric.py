"""MendedCocoMetric: MMDetection's CocoMetric, with the right class names."""

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS


# The same name in configs, so that all experiments have it, also those that
# were written before.
@METRICS.register_module(name='CocoMetric', force=True)
class MendedCocoMetric(CocoMetric):
    """MMDetection's CocoMetric, whose values by class are those of the class.

    MMDetection gives the values in the order of the ids to names in the order
    of the file. If the ids in a file do not ascend, `classwise=True` then
    gives one class the AP of another. Here both are in the order of the ids.
    Values of all classes together were right, and stay the same.

    Importing the project replaces the metric of the name `CocoMetric`.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the detections.

        Args:
            results: Pairs of the truth and the detections of an image.

        Returns:
            The metrics by name; `CLASS_precision` is that of a class.
        """
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
            The files by what they hold.
        """
        files = super().results2json(results, outfile_prefix)
        # pycocotools evaluates in this order. Labels are no longer needed.
        self.cat_ids = sorted(self.cat_ids or ())
        return files
