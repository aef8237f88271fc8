"""The data and the numbers of a new experiment."""

from collections.abc import Sequence
from dataclasses import dataclass

# The shortest training, in images: 600 steps of 8, as the digits' teacher
# (configs/digits), whose 30 images take that long.
MIN_IMAGES_SEEN = 4_800


# The student of the digits and of BCCD trains twice as long as its teacher.
MIN_STUDENT_FACTOR = 2


# The paper's scales, 400 to 1200 where training has 800 (section 4).
VIEW_SCALES = tuple(short / 800 for short in range(400, 1201, 100))


# Manual to generated annotations (paper, section 4).
RATIO = (6, 4)


@dataclass(frozen=True)
class Images:
    """Images and their COCO file.

    Args:
        ann_file: The file; `''` for all images of the folder.
        folder: Of the images.
        count: How many there are.
    """

    ann_file: str
    folder: str
    count: int

    @property
    def known(self) -> dict:
        """What the hooks take for a set of images."""
        return dict(ann_file=self.ann_file, img_prefix=self.folder)

    @property
    def source(self) -> dict:
        """What a dataset takes to read them."""
        return dict(
            data_root='',
            ann_file=self.ann_file,
            data_prefix=dict(img=self.folder),
        )


@dataclass(frozen=True)
class Data:
    """The data of an experiment.

    Args:
        classes: Their names, in the order of the labeled file.
        labeled: The images with labels.
        unlabeled: The images to annotate.
        val: The validation images.
        truth_file: The true labels of the unlabeled images, if known.
        notes: What to tell the user about them.
    """

    classes: tuple[str, ...]
    labeled: Images
    unlabeled: Images
    val: Images
    truth_file: str | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """The numbers of an experiment.

    Args:
        batch_size: Images of a training step, of each process.
        num_processes: How many train.
        iterations: Of the teacher.
        student_iterations: Of the student, the control and the oracle.
        size_factor: By which the detector's image sizes are multiplied.
        from_scratch: Train without pretrained weights.
        view_scales: Times the detector's test scale.
        flip: Whether each scale is flipped, too.
        ratio: Labeled to pseudo-labeled images in the student's batches.
    """

    batch_size: int
    num_processes: int
    iterations: int
    student_iterations: int
    size_factor: float = 1.0
    from_scratch: bool = False
    view_scales: Sequence[float] = VIEW_SCALES
    flip: bool = True
    ratio: Sequence[float] = RATIO


def compute_iterations(
    num_images: int, epochs: float, images_per_step: int, min_images: int
) -> int:
    """Return the length of a training.

    Args:
        num_images: Of the data set.
        epochs: How often the detector's config goes through its own.
        images_per_step: Of all processes.
        min_images: How many images the training sees at least.
    """
    seen = max(epochs * num_images, min_images)
    return max(round(seen / images_per_step), 1)
