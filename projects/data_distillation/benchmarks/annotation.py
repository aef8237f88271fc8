"""Compares the speed of annotation with MMDetection's and with its limit.

Several contenders run the same teacher on the same views of the same images.
They take turns, a few images at a time, so that other load on the machine
affects all of them alike:

- exact, fast: `MultiViewTTA` in this mode, as `tools/test.py` runs it;
- bare exact, bare fast: only the same forward passes, which are the limit;
- stock: `DetTTAModel` with mmcv's `TestTimeAug`, without an evaluator.

Stock cannot keep masks. If the config keeps them, the same annotation and its
bare passes without masks (`exact boxes`) take its place.
"""

import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ..label_files.coco.measures import compute_detection_metrics
from ..multi_view.inference.tta import MultiViewTTA
from ..multi_view.inference.view_batches import (
    MadeView,
    find_size_divisor,
    list_made_views,
    make_pixels,
)
from ..pseudo_labels.annotation.rows import make_boxes_row
from ..pseudo_labels.annotation.unlabeled import UnlabeledDataset
from .memory import read_peak_memory_mib, reset_peak_memory
from .stock import make_stock_config
from .stopwatch import read_clock

# Boxes of one class that overlap more than this count as the same box.
SAME_BOX = 0.95


@dataclass
class Contender:
    """A way to annotate, and its results so far.

    Args:
        prepare: A function that takes the indices of some images and returns
            a second function. The second one annotates the images and returns
            the seconds that this took.
        found: File name -> merged detections, which the second function adds.
        seconds: The seconds of each turn.
        peaks_mib: The peak memory of each turn in MiB: that of the GPU if
            there is one, otherwise that of the process.
    """

    prepare: Callable[[Sequence[int]], Callable[[], float]]
    found: dict[str, DetDataSample] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    peaks_mib: list[float] = field(default_factory=list)

    def take_turn(self, indices: Sequence[int]) -> None:
        """Annotate some images, and record the time and the memory.

        Args:
            indices: The indices of the images in the dataset.
        """
        run = self.prepare(indices)
        reset_peak_memory()
        self.seconds.append(run())
        self.peaks_mib.append(read_peak_memory_mib())


class Collector(Hook):
    """Collects the detections of a test run by file name, and its time.

    `found` has the samples of all runs, and `seconds` the time of the last
    one. It does not include what a run does only once: reading annotation
    files and the checkpoint at the start, and selection and export at the end.
    """

    def __init__(self) -> None:
        self.found: dict[str, DetDataSample] = {}
        self.seconds = 0.0

    def before_test_epoch(self, runner: Runner) -> None:
        """Start the clock, as MMEngine's hook of this name.

        Args:
            runner: It is not used.
        """
        self._start = read_clock()

    def after_test_epoch(
        self, runner: Runner, metrics: dict | None = None
    ) -> None:
        """Stop the clock, as MMEngine's hook of this name.

        Args:
            runner: It is not used.
            metrics: They are not used.
        """
        self.seconds = read_clock() - self._start

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Collect the samples of a batch, as MMEngine's hook of this name.

        Args:
            runner: It is not used.
            batch_idx: It is not used.
            data_batch: It is not used.
            outputs: The samples of the batch; they are copied to the host.
        """
        for sample in outputs or ():
            self.found[sample.file_name] = sample.cpu()


class Comparison:
    """Lets the contenders take turns, and compares them.

    Args:
        cfg: The config of an annotation of scales and flips. It is changed.
        checkpoint: The checkpoint of the teacher.
        modes: The modes of `MultiViewTTA` to run.
        work_dir: The folder to which the runs write.

    Raises:
        ValueError: If MMDetection's TTA cannot make the views, or the folder
            has no images.
        FileNotFoundError, CocoError: See `UnlabeledDataset`; also if there is
            no such checkpoint.
    """

    def __init__(
        self,
        cfg: Config,
        checkpoint: str,
        modes: Sequence[str],
        work_dir: Path,
    ) -> None:
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        cfg.load_from = checkpoint
        self.truth = cfg.get('unlabeled_truth')
        self.dataset = DATASETS.build(cfg.test_dataloader.dataset)
        self.contenders: dict[str, Contender] = {}
        keeps_masks = cfg.model.get('masks') is not None
        for mode in modes:
            ours = Config(cfg.to_dict())
            ours.model.mode = mode
            self._add_ours(mode, ours, work_dir)
            if keeps_masks:
                boxes = Config(ours.to_dict())
                boxes.model.masks = None
                self._add_ours(f'{mode} boxes', boxes, work_dir)
        if not keeps_masks:
            self._add('stock', make_stock_config(cfg), work_dir)

    def run(self, num_images: int, images_per_turn: int) -> dict:
        """Annotate in turns, after a first image that does not count.

        Args:
            num_images: The number of images to annotate, at least 1, starting
                with the first one; at most all images are annotated.
            images_per_turn: The number of images in a turn, at least 1.

        Returns:
            The report with `images`, their number, and `contenders`. Each
            contender has `images_per_second`, `peaks_mib` (of each turn) and
            `bbox_mAP` (None if there is nothing to evaluate). Each annotation
            has `share_of_bare_passes`, and `speed_of_stock` or, with masks,
            `share_of_boxes` (its speed beside the one without), all of them
            medians over the turns. Beside stock, it also has `difference`, see
            `compare_boxes`.

        Raises:
            FileNotFoundError: If the file of the truth does not exist.
            CocoError: If the truth cannot be used, or lacks an image.
            ValueError: If `images_per_turn` is 0.
        """
        num_images = min(num_images, len(self.dataset))
        for contender in self.contenders.values():
            contender.take_turn([0])
            contender.seconds.clear()
            contender.peaks_mib.clear()
        for start in range(0, num_images, images_per_turn):
            end = min(start + images_per_turn, num_images)
            for contender in self.contenders.values():
                contender.take_turn(range(start, end))
        return dict(
            images=num_images,
            contenders={
                name: self._describe(name, num_images)
                for name in self.contenders
            },
        )

    def _add_ours(self, name: str, cfg: Config, work_dir: Path) -> None:
        """Add an annotation and its bare passes."""
        runner = self._add(name, cfg, work_dir)
        batch_size = cfg.test_dataloader.batch_size
        bare = BarePasses(runner.model, self.dataset, batch_size)
        self.contenders[f'bare {name}'] = Contender(bare.prepare)

    def _add(self, name: str, cfg: Config, work_dir: Path) -> Runner:
        """Add the test run of a config; return its runner."""
        cfg.work_dir = str(work_dir / name)
        cfg.experiment_name = name
        cfg.default_hooks = dict(logger=None)  # None leaves it out.
        cfg.log_level = 'ERROR'
        runner = Runner.from_cfg(cfg)
        collector = Collector()
        runner.register_hook(collector)
        # The rest of `Runner.test`, which happens once in any test run.
        runner.call_hook('before_run')
        runner.load_or_resume()
        dataset = DATASETS.build(cfg.test_dataloader.dataset)

        def prepare(indices: Sequence[int]) -> Callable[[], float]:
            """Prepare the test loop for these images, as if none were done."""
            shutil.rmtree(work_dir / name / 'detections', ignore_errors=True)
            loader = {
                **cfg.test_dataloader,
                'dataset': dataset.get_subset(list(indices)),
            }
            runner.test_loop.dataloader = Runner.build_dataloader(loader)
            return run

        def run() -> float:
            """Run the test loop, and return its seconds."""
            runner.test_loop.run()
            return collector.seconds

        self.contenders[name] = Contender(prepare, collector.found)
        return runner

    def _describe(self, name: str, num_images: int) -> dict:
        contender = self.contenders[name]
        report = dict(
            images_per_second=num_images / sum(contender.seconds),
            peaks_mib=contender.peaks_mib,
            bbox_mAP=self._evaluate(contender),
        )
        bare, boxes, stock = map(
            self.contenders.get, (f'bare {name}', f'{name} boxes', 'stock')
        )
        for key, other in (
            ('share_of_bare_passes', bare),
            ('share_of_boxes', boxes),
            ('speed_of_stock', bare and stock),
        ):
            if other:
                report[key] = compute_median_ratio(
                    other.seconds, contender.seconds
                )
        if bare and stock:
            report['difference'] = compare_boxes(contender.found, stock.found)
        return report

    def _evaluate(self, contender: Contender) -> float | None:
        if not (self.truth and contender.found):
            return None
        rows = map(make_boxes_row, contender.found.values())
        return compute_detection_metrics(rows, self.truth)['bbox_mAP']


@dataclass(frozen=True)
class BarePasses:
    """The forward passes of annotation, and nothing else.

    Args:
        model: Our model. It must have annotated an image, so that its detector
            is prepared.
        dataset: The images.
        batch_size: The batch size of the data loader of annotation.
    """

    model: MultiViewTTA
    dataset: UnlabeledDataset
    batch_size: int

    def prepare(self, indices: Sequence[int]) -> Callable[[], float]:
        """Make the views of some images.

        Args:
            indices: The indices of the images in the dataset.

        Returns:
            A function that runs the detector on all views and returns the
            seconds that this took.

        Raises:
            ValueError: If the pipeline has changed the size of an image.
        """
        model = self.model
        all_pixels = [
            (make_pixels(batch), batch)
            for start in range(0, len(indices), self.batch_size)
            for batch in model.group_batches(
                self._make_views(indices[start : start + self.batch_size]),
                find_size_divisor(model.module),
            )
        ]

        @torch.no_grad()
        def run() -> float:
            """Run the detector on every batch, and return the seconds."""
            start = read_clock()
            with torch.autocast(model.device.type, enabled=False):
                for pixels, batch in all_pixels:
                    samples = [view.sample() for view in batch]
                    inputs = dict(inputs=pixels, data_samples=samples)
                    model.module.test_step(inputs)
            return read_clock() - start

        return run

    def _make_views(self, indices: Sequence[int]) -> list[MadeView]:
        """Make the views of some images."""
        data = [self.dataset[i] for i in indices]
        return list_made_views(
            self.model.views or (),
            [one['inputs'] for one in data],
            [one['data_samples'] for one in data],
            self.model.device,
        )


def compute_median_ratio(
    some: Sequence[float], others: Sequence[float]
) -> float:
    """Compute the median of the ratios of all turns.

    Args:
        some: The numerator of each turn, at least one.
        others: The denominator of each turn, which is not 0.

    Returns:
        The median, which one slow turn hardly changes.

    Raises:
        ValueError: If there are no turns, or not as many of both.
    """
    ratios = [one / other for one, other in zip(some, others, strict=True)]
    return statistics.median(ratios)


def compare_boxes(
    ours: dict[str, DetDataSample], stock: dict[str, DetDataSample]
) -> dict:
    """Compare the boxes of two contenders.

    A box of stock is matched if one of our boxes of the same class overlaps it
    by an IoU of more than `SAME_BOX`; the one that overlaps it most counts, of
    equal ones either. Several may be matched with one of ours.

    Args:
        ours: File name -> detections (xyxy, in pixels of the original image),
            in the memory of the CPU.
        stock: File name -> detections, of the same images.

    Returns:
        `matched`, the share (0 to 1) of stock's boxes that are matched; and
        over these `pixels`, the largest difference of a coordinate, and
        `score`, that of the score. All are 0 if no box is matched.

    Raises:
        KeyError: If `ours` lacks an image of `stock`.
    """
    num_boxes, matched = 0, []
    for name, sample in stock.items():
        found, expected = ours[name].pred_instances, sample.pred_instances
        num_boxes += len(expected)
        if not (len(found) and len(expected)):
            continue
        overlaps = bbox_overlaps(expected.bboxes, found.bboxes)  # (n, m)
        overlaps[expected.labels[:, None] != found.labels] = 0
        overlap, nearest = overlaps.max(dim=1)
        same, nearest = overlap > SAME_BOX, nearest[overlap > SAME_BOX]
        pixels = expected.bboxes[same] - found.bboxes[nearest]
        score = expected.scores[same] - found.scores[nearest]
        matched.append(torch.cat([pixels, score[:, None]], dim=1).abs())
    differences = torch.cat([*matched, torch.zeros(0, 5)])  # One at least.
    largest = differences.amax(dim=0) if len(differences) else torch.zeros(5)
    return dict(
        matched=len(differences) / max(num_boxes, 1),
        pixels=largest[:4].max().item(),
        score=largest[4].item(),
    )
