"""Makes up labels, to measure a training whose labels are not there yet."""

from pathlib import Path

from ...files.atomic import write_json
from ...files.decoding import ImageError, decode_image, read_image_file
from ...label_files.coco.reading import Categories
from ...pseudo_labels.annotation.unlabeled import UnlabeledDataset
from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ..stages.definition import Experiment, find_pseudo_label_key

# So many images are more than a measurement uses.
MAX_IMAGES = 100


def let_student_train(experiment: Experiment, folder: Path) -> dict[str, str]:
    """Make up labels for a student.

    Args:
        experiment: The stage configs.
        folder: The folder to write the labels to, as `pseudo_labels.json`.

    Returns:
        What lets the student train on them: key with dots -> value.

    Raises:
        ValueError: If a config or an option cannot be used, or none of the
            first unlabeled images can be read.
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        OSError: If the file of labels cannot be written.
    """
    file = folder / PSEUDO_LABELS
    hook = experiment.build_detection_hook('annotate')
    images = experiment.build_images('annotate')
    make_up_labels(images, hook.labeled_set.categories, file)
    return {find_pseudo_label_key(experiment.load('student')): str(file)}


def make_up_labels(
    images: UnlabeledDataset, categories: Categories, file: Path
) -> None:
    """Write one label for each of the first unlabeled images.

    It is in the middle of the image, half as wide and as high, with a mask of
    the same shape. Images that cannot be read are left out.

    Args:
        images: The images, of which the first `MAX_IMAGES` are read.
        categories: The categories, at least one; the labels are of the first.
        file: The COCO file to write. The ids of its images are their places
            in `images`, from 0.

    Raises:
        ValueError: If none of the first images can be read.
        OSError: If the file cannot be written.
    """
    infos, objects = [], []
    for number in range(min(len(images), MAX_IMAGES)):
        info = images.get_data_info(number)
        try:
            image = decode_image(read_image_file(info['img_path']))
        except ImageError:
            continue
        height, width = image.shape[:2]
        name = info['file_name']
        infos.append(
            dict(id=number, file_name=name, height=height, width=width)
        )
        objects.append(
            dict(
                make_up_object(height, width),
                id=number + 1,
                image_id=number,
                category_id=categories[0]['id'],
            )
        )
    if not infos:
        raise ValueError(
            f'none of the first {min(len(images), MAX_IMAGES)} unlabeled '
            'images can be read'
        )
    write_json(
        file, dict(images=infos, annotations=objects, categories=categories)
    )


def make_up_object(height: int, width: int) -> dict:
    """Make up an object in the middle of an image.

    Args:
        height: The height of the image in pixels.
        width: The width of the image in pixels.

    Returns:
        `bbox` (xywh in pixels), `area` (in square pixels), `iscrowd` and
        `segmentation` (one polygon, the corners as x and y from the top left
        one on).
    """
    x, y, w, h = width / 4, height / 4, width / 2, height / 2
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    return dict(
        bbox=[x, y, w, h], area=w * h, iscrowd=0, segmentation=[corners]
    )
