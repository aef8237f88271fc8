"""TuneHook: chooses views and a merger after a run on validation images."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.runner import Runner

from ...label_files.coco.contents import check_classes
from ...label_files.coco.matching import find_image_ids
from ...label_files.coco.reading import read_truth
from ...text import format_call
from ..annotation.annotation_log import log_from_any_rank
from ..annotation.detection_hook import DetectionHook
from ..annotation.unlabeled import UnlabeledDataset
from ..detections.differences import as_json
from .judge import Judge
from .result import TuningResult, find_choice
from .search import (
    NUM_DRAWS,
    choose_or_keep,
    compare_trials,
    group_views,
    search_trials,
)

# The first one is used while views are searched.
MERGERS = (
    dict(type='WBFMerger', iou_threshold=0.65),
    dict(type='WBFMerger', iou_threshold=0.55),
    dict(type='WBFMerger', iou_threshold=0.75),
    dict(type='BoxVotingMerger'),
    dict(type='NMSMerger'),
)
# What does not depend on how boxes are merged.
KEPT_OPTIONS = ('max_per_img', 'class_agnostic')
# So that annotation takes at most half as long as with the paper's 18 views:
# the 6 views of a new experiment have 39 % of their pixels.
MAX_COST = 1.28


@HOOKS.register_module()
class TuneHook(DetectionHook):
    """Stores the boxes of all views, and chooses views and a merger by them.

    It is for validation images and a model with `keep_views=True`, whose
    `views` are the candidates. When every image is done, the process that
    finishes last tries views and mergers, see `search_trials`. It writes
    `tune.json`, `annotate.py` and `validate.py` into the work folder. The
    configs inherit from those of the experiment, and have the chosen views and
    merger.

    Args:
        labeled: The COCO file of the labeled images, see `DetectionHook`.
        ann_file: The COCO file of the validation images.
        mergers: The configs of the mergers to try; the first one is used while
            views are searched. They get the `max_per_img` and `class_agnostic`
            of `annotate.py` if they have none.
        max_cost: The highest cost of a choice, as a multiple of that of
            `annotate.py`; None for no limit. There is no limit either if the
            views of `annotate.py` are not among the candidates.
        **kwargs: The other arguments of `DetectionHook`.

    Raises:
        ValueError: If there is no merger, or `max_cost` is not positive.
    """

    def __init__(
        self,
        labeled: dict,
        ann_file: str,
        mergers: Sequence[dict] = MERGERS,
        max_cost: float | None = MAX_COST,
        **kwargs: Any,
    ) -> None:
        super().__init__(labeled, **kwargs)
        if not mergers:
            raise ValueError('TuneHook needs at least one merger, got none')
        if max_cost is not None and max_cost <= 0:
            raise ValueError(f'max_cost must be positive, got {max_cost}')
        self.max_cost = max_cost
        self.ann_file = ann_file
        self.mergers = [dict(merger) for merger in mergers]

    def check_data(
        self,
        dataset: UnlabeledDataset,
        file_names: Iterable[str] | None = None,
    ) -> None:
        """Check the images, the labeled file, and the truth of the images.

        Args:
            dataset: The validation images.
            file_names: The names of the images to look for in other sets; None
                for all.

        Raises:
            CocoError: If a file has other classes, or the truth lacks an
                image; and see `DetectionHook.check_data`.
            FileNotFoundError: If a file does not exist.
        """
        super().check_data(dataset, file_names)
        truth = read_truth(self.ann_file)
        classes = dataset.metainfo['classes']
        check_classes(classes, truth['categories'], self.ann_file)
        rows = [dict(file_name=name) for name in dataset.map_image_ids()]
        find_image_ids(rows, truth, self.ann_file)

    def before_test(self, runner: Runner) -> None:
        """Check that the boxes of views are kept; see `DetectionHook`.

        Args:
            runner: The runner.

        Raises:
            ValueError: If the model does not keep them; and see
                `DetectionHook.before_test`, also for other errors.
            FileNotFoundError: If there is no `annotate.py` beside the config,
                or a file that `DetectionHook.before_test` reads is missing.
            OSError: If a file in the work folder cannot be written.
        """
        if not runner.cfg.model.get('keep_views'):
            raise ValueError(
                'TuneHook needs the boxes of each view: set '
                'model.keep_views=True, got False'
            )
        # Before hours of inference, so that its errors come first.
        self._annotate = Config.fromfile(find_annotate(runner))
        super().before_test(runner)

    def after_all_images(self, runner: Runner) -> None:
        """Choose views and a merger, and write what was chosen.

        Args:
            runner: The runner.

        Raises:
            FileNotFoundError: If the file of the validation images does not
                exist.
            StoreError: If the store has no boxes of views, or a damaged file.
            CocoError: If that file cannot be used, or lacks an image of the
                store.
            ValueError: If no image could be read, or an argument of a merger
                is out of range.
            KeyError, TypeError: If the type of a merger is not registered, or
                an argument is unknown.
            OSError: If one of the files cannot be written.
        """
        super().after_all_images(runner)
        result = tune_on_detections(
            self._run.store.folder,
            self.ann_file,
            self.mergers,
            self._annotate,
            self.max_cost,
        )
        result.write(Path(runner.work_dir), find_annotate(runner).parent)
        log_from_any_rank(f'\n{result.format()}')


def find_annotate(runner: Runner) -> Path:
    """Return where the `annotate.py` of a tuning is.

    Args:
        runner: The runner, whose config is a file.

    Returns:
        The path beside that config; the file need not exist.
    """
    return Path(runner.cfg.filename).with_name('annotate.py')


def tune_on_detections(
    detections: Path,
    ann_file: str | Path,
    mergers: Sequence[dict],
    annotate: Config,
    max_cost: float | None = None,
) -> TuningResult:
    """Choose views and a merger by stored boxes of validation images.

    Args:
        detections: The folder of a store with the boxes of all candidate
            views on the validation images.
        ann_file: The COCO file of the validation images.
        mergers: The configs of the mergers to try, at least one.
        annotate: The config of `annotate.py`, whose views and merger are the
            reference.
        max_cost: The highest cost of a choice, as a multiple of that of
            `annotate.py`; None for no limit. There is none either if its views
            are not among the candidates.

    Returns:
        The result; nothing is written.

    Raises:
        StoreError: If the store has no boxes of views, or a damaged file.
        CocoError: If that file cannot be used, or lacks an image of the store.
        FileNotFoundError: If the file of the validation images does not exist.
        ValueError: If no image could be read, or an argument of a merger is
            out of range.
        KeyError, TypeError: If the type of a merger is not registered, or an
            argument is unknown.
        AttributeError: If the model of `annotate` has no `merger`.
    """
    own = as_json(annotate.model.merger)
    mergers = list(adapt_mergers(mergers, own))
    # The own one comes last: the first is used while views are searched.
    all_mergers = [*mergers, *([] if own in mergers else [own])]
    judge = Judge(
        detections, ann_file, {format_call(m): m for m in all_mergers}
    )
    reference = find_choice(as_json(annotate.model.get('views')), own, judge)
    blocks = group_views(judge.list_views())
    images = np.ones(len(judge.rows), bool)
    log_from_any_rank(f'trying views and mergers on {len(images):,} images')
    limit = np.inf
    if max_cost and reference:
        limit = max_cost * judge.cost(reference.numbers)
    trials = search_trials(judge, blocks, images, limit)
    # What annotate.py has is judged too, even if the search went another way.
    if reference and judge.try_choice(reference) not in trials:
        trials.append(judge.try_choice(reference))
    log_from_any_rank(
        f'comparing {len(trials)} choices on {NUM_DRAWS} draws of the images'
    )
    verdicts = compare_trials(trials, images)
    chosen, unseen = choose_or_keep(
        verdicts, judge.try_choice(reference) if reference else None
    )
    by_choice = {verdict.trial.choice: verdict for verdict in verdicts}
    return TuningResult(
        judge,
        verdicts,
        by_choice[chosen.choice],
        by_choice[reference] if reference else None,
        unseen,
    )


def adapt_mergers(mergers: Sequence[dict], own: dict) -> Iterator[dict]:
    """Let all mergers keep what the user wants of any of them.

    Otherwise another way to merge would undo it, without being about it.

    Args:
        mergers: The configs of the mergers to try.
        own: The config of the merger of `annotate.py`.

    Yields:
        Each config, with the `KEPT_OPTIONS` of the own one, if it has them and
        the other does not.
    """
    kept = {key: own[key] for key in KEPT_OPTIONS if key in own}
    for merger in mergers:
        yield {**merger, **{k: v for k, v in kept.items() if k not in merger}}
