"""The data and the numbers that a new experiment is made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .config_text import Expression
from .detector import DetectorConfig
from .schedule import Schedule

# The least number of images that a training sees: 600 steps of 8 images, as
# many as the teacher of the digits (configs/digits) needs for its 30 images.
MIN_IMAGES_SEEN = 4_800
# The students of the digits and of BCCD train twice as long as their teachers.
MIN_STUDENT_FACTOR = 2
# Labeled to pseudo-labeled images in a batch (paper, section 4, at second
# hand: configs/README.md).
RATIO = (6, 4)
WHOLE_NUMBERS = (
    'batch_size',
    'gpus',
    'iterations',
    'student_iterations',
    'image_size',
)


@dataclass(frozen=True)
class ViewRecipe:
    """How the views are chosen, merged and counted.

    Args:
        scales: The scales of the views, as multiples of the detector's test
            scale.
        merger: The config of the merger.
        candidates: The scales that `tune.py` chooses from; none if nothing is
            chosen.
        uses_val: Whether the validation images help to make labels: their
            instances count like those of the labeled images, and their boxes
            calibrate those of the labels.
        masks: The arguments of `MaskMerger`, for instance segmentors.
    """

    scales: Sequence[float]
    merger: Mapping
    candidates: Sequence[float] = ()
    uses_val: bool = False
    masks: Mapping = field(default_factory=dict)

    def make_selection(self, validation: str, has_masks: bool) -> dict:
        """Return the arguments of `SelectionRules`.

        Args:
            validation: The folder of the detections on validation images,
                which `validate.py` makes before the labels are selected.
            has_masks: Whether labels have masks, whose boxes are not
                calibrated.

        Returns:
            The arguments; empty if the validation images do not help.
        """
        if not self.uses_val:
            return {}
        truth = Expression('_base_.held_out.ann_file')
        selection: dict[str, object] = dict(counted=[truth])
        if not has_masks:
            selection['validation'] = dict(
                detections=validation, ann_file=truth
            )
            selection['calibrates_boxes'] = True
        return selection


RECIPES = {
    # Chosen by measurements, see docs/results.md.
    'measured': ViewRecipe(
        scales=(1.0, 1.125, 1.25),
        merger=dict(type='WBFMerger', iou_threshold=0.65),
        candidates=(0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5),
        uses_val=True,
        masks=dict(mask_thr_binary=0.45),
    ),
    # The scales are 400 to 1200 for a training at 800. The boxes are merged
    # by voting (paper, at second hand: configs/README.md).
    'paper': ViewRecipe(
        scales=tuple(short / 800 for short in range(400, 1201, 100)),
        merger=dict(type='BoxVotingMerger'),
    ),
}


@dataclass(frozen=True)
class Images:
    """A set of images and its COCO file.

    Args:
        ann_file: The COCO file; `''` for all images of the folder.
        folder: The folder of the images.
        count: The number of images; of the labeled ones, those that are
            trained on.
    """

    ann_file: str
    folder: str
    count: int

    @property
    def known(self) -> dict:
        """The arguments with which hooks name this set of images."""
        return dict(ann_file=self.ann_file, img_prefix=self.folder)

    @property
    def source(self) -> dict:
        """The arguments with which a dataset reads this set of images."""
        return dict(
            data_root='',
            ann_file=self.ann_file,
            data_prefix=dict(img=self.folder),
        )


@dataclass(frozen=True)
class Data:
    """The data of an experiment.

    Args:
        classes: The names of the classes, in the order of the labeled file.
        labeled: The images with labels; without a folder if there are none.
        unlabeled: The images to annotate.
        val: The validation images; without a folder if there are none.
        truth_file: The COCO file of the true labels of the unlabeled images;
            None if they are unknown.
        notes: Lines for the user about the data.
    """

    classes: tuple[str, ...]
    labeled: Images
    unlabeled: Images
    val: Images
    truth_file: str | None = None
    notes: Sequence[str] = ()

    @property
    def with_labels(self) -> list[Images]:
        """The labeled and the validation images, as far as there are any."""
        return [one for one in (self.labeled, self.val) if one.folder]


@dataclass(frozen=True)
class Plan:
    """The numbers of an experiment.

    Args:
        batch_size: The number of images in a training step of one process.
        num_processes: The number of processes that train.
        iterations: The number of iterations of the teacher.
        student_iterations: The number of iterations of the student, the
            control and the oracle.
        size_factor: The factor by which the detector's image sizes are
            multiplied.
        from_scratch: Whether to train without pretrained weights.
        recipe: How the views are chosen, merged and counted.
        flip: Whether there is also a flipped view at each scale.
        ratio: The numbers of labeled and of pseudo-labeled images to which
            the student's batches are in proportion.
        balance: How often an epoch has a labeled image on average, because
            those with rare classes are repeated.
        selector: The config of the selector of pseudo labels; None for
            `MatchedSelector`.
    """

    batch_size: int
    num_processes: int
    iterations: int
    student_iterations: int
    size_factor: float = 1.0
    from_scratch: bool = False
    recipe: ViewRecipe = RECIPES['measured']
    flip: bool = True
    ratio: Sequence[float] = RATIO
    balance: float = 1.0
    selector: Mapping | None = None

    @property
    def images_per_iteration(self) -> int:
        """The batch size of all processes together."""
        return self.batch_size * self.num_processes

    def count_passes(self, num_unlabeled: int, num_labeled: int) -> float:
        """Count how often the student sees each unlabeled image.

        Args:
            num_unlabeled: The number of unlabeled images, at least 1.
            num_labeled: The number of labeled images; if there are none, all
                images of a batch are pseudo-labeled.

        Returns:
            The mean over the images.
        """
        share = self.ratio[1] / sum(self.ratio) if num_labeled else 1
        step = self.images_per_iteration
        return self.student_iterations * step * share / num_unlabeled


@dataclass(frozen=True)
class ExperimentOptions:
    """The options of a user; what is None is chosen by `make_plan`.

    Args:
        ratio: The numbers of labeled and of pseudo-labeled images to which
            the student's batches are in proportion.
        recipe: The name of the recipe, see `RECIPES`.
        scales: The scales of the views, as multiples of the detector's test
            scale; None for those of the recipe.
        from_scratch: Whether to train without pretrained weights.
        no_flip: Whether to leave out the flipped views.
        batch_size: The number of images in a training step of one process.
        gpus: The number of processes that will train.
        iterations: The number of iterations of the teacher.
        student_iterations: The number of iterations of the student, the
            control and the oracle.
        image_size: The longest side of the images at test time, in pixels.
        allow_problems: Whether to continue with data that has problems.
        selector: The config of the selector of pseudo labels; None for
            `MatchedSelector`.

    Raises:
        ValueError: If a number is out of range.
    """

    ratio: Sequence[float]
    recipe: str = 'measured'
    scales: Sequence[float] | None = None
    from_scratch: bool = False
    no_flip: bool = False
    batch_size: int | None = None
    gpus: int = 1
    iterations: int | None = None
    student_iterations: int | None = None
    image_size: int | None = None
    allow_problems: bool = False
    selector: Mapping | None = None

    def __post_init__(self) -> None:
        for name in WHOLE_NUMBERS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        for name in ('scales', 'ratio'):
            if not all(value > 0 for value in getattr(self, name) or ()):
                raise ValueError(
                    f'{name} must be positive, got {getattr(self, name)}'
                )


def compute_iterations(
    num_images: int,
    epochs: float,
    images_per_step: int,
    min_images: int = MIN_IMAGES_SEEN,
) -> int:
    """Compute the length of a training in iterations.

    Args:
        num_images: The number of images in the dataset.
        epochs: The number of epochs in the detector's config.
        images_per_step: The number of images in a step of all processes.
        min_images: The least number of images that the training sees, counted
            each time.

    Returns:
        The rounded number of iterations, at least 1.
    """
    seen = max(epochs * num_images, min_images)
    return max(round(seen / images_per_step), 1)


def explain_lengths(
    detector: DetectorConfig,
    data: Data,
    plan: Plan,
    options: ExperimentOptions,
) -> Iterator[str]:
    """Say how long the trainings are, and why.

    Args:
        detector: The detector, whose schedule can be read, see `Schedule.of`.
        data: The data of the experiment.
        plan: The numbers of the experiment.
        options: The options of the user.

    Yields:
        Lines for the user.
    """
    schedule, balance = Schedule.of(detector.cfg), plan.balance
    teacher = explain_teacher_length(schedule, data, plan, options)
    student = 'as given'
    if not options.student_iterations:
        num_images = data.labeled.count + data.unlabeled.count
        student = f"at least {MIN_STUDENT_FACTOR} times the teacher's"
        if not options.iterations:
            student = f'as many epochs of {num_images:,} images, but {student}'
    yield f'teacher     {plan.iterations:,} iterations: {teacher}'
    yield f'student     {plan.student_iterations:,} iterations: {student}'
    if data.unlabeled.count:
        passes = plan.count_passes(data.unlabeled.count, data.labeled.count)
        yield f'            it sees each unlabeled image {passes:.1f} times'
    if balance > 1:
        share = detector.train_dataset.oversample_thr
        yield (
            '            images with a class that less than '
            f'{share:.3g} of the images have come more often: '
            f'{balance:.3g} times on average (ClassBalancedDataset, for '
            'pseudo labels too)'
        )
    yield from explain_rate(schedule, plan)


def explain_rate(schedule: Schedule, plan: Plan) -> Iterator[str]:
    """Say what the learning rate is, and why.

    Args:
        schedule: The schedule of the detector.
        plan: The numbers of the experiment.

    Yields:
        Lines for the user.
    """
    base, rate = schedule.images_per_iteration, schedule.learning_rate
    if not base:
        yield "            the learning rate is that of the detector's config"
        return
    yield (
        '            the learning rate is proportional to the batch size: it '
        f'is meant for {base} images'
    )
    images = plan.images_per_iteration
    if rate and images != base:
        yield (
            f'            ({rate:g}, so that for {images} it is '
            f'{rate * images / base:g}; see `auto_scale_lr`)'
        )


def explain_teacher_length(
    schedule: Schedule,
    data: Data,
    plan: Plan,
    options: ExperimentOptions,
) -> str:
    """Say why the training of the teacher is as long as it is.

    Args:
        schedule: The schedule of the detector's config.
        data: The data of the experiment.
        plan: The numbers of the experiment.
        options: The options of the user.

    Returns:
        A text for the user. It warns of a given length below the default.
    """
    step = plan.images_per_iteration
    epochs = schedule.count_epochs(step, plan.balance)
    default = compute_iterations(data.labeled.count, epochs, step)
    if options.iterations and options.iterations < default:
        return (
            f'as given, fewer than the {default:,} of the default. A teacher '
            'that has learned too little makes labels that harm '
            '(docs/no_gain.md)'
        )
    if options.iterations:
        return 'as given'
    if epochs * data.labeled.count < MIN_IMAGES_SEEN:
        return f'through {MIN_IMAGES_SEEN:,} images, the least that is used'
    factors = schedule.explain_epochs(plan.balance)
    return f"{epochs:.3g} epochs{factors} as in the detector's config"
