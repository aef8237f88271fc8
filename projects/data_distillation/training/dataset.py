"""CheckedCocoDataset: a COCO file that is checked when it is loaded."""

from collections.abc import Iterator

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from torch.utils.data import Dataset

from ..coco.reading import (
    CocoError,
    check_classes,
    origin_of,
    read_trainable,
)
from ..text import format_value


class CheckedCOCO(COCO):
    """pycocotools' index of a COCO file that was checked first.

    Args:
        annotation_file: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it holds no images, categories or annotations, or an
            entry is broken.
    """

    def __init__(self, annotation_file: str) -> None:
        super().__init__()
        self.dataset = read_trainable(annotation_file)
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """A `CocoDataset` whose `classes` are the file's categories, in order.

    For labeled, validation and pseudo-labeled images alike. CocoDataset drops
    classes that the file does not have and numbers the others by the file's
    order, both silently; this one refuses when it loads the file, with a
    `CocoError` (or a FileNotFoundError). Arguments are those of CocoDataset.
    """

    def COCOAPI(self, annotation_file: str) -> COCO:  # noqa: N802 - mmdet's
        """Read and check the file; CocoDataset calls this as its reader.

        Args:
            annotation_file: The file.

        Returns:
            Its index.

        Raises:
            FileNotFoundError: If there is no such file.
            CocoError: If a list is missing, a file name leads outside of the
                image folder, or its categories are not the config's
                `metainfo.classes`.
        """
        coco = CheckedCOCO(annotation_file)
        check_classes(
            self.metainfo['classes'], coco.dataset['categories'], self.ann_file
        )
        # Of pseudo labels; crowds of labeled files are not counted.
        self.num_ignored = origin_of(coco.dataset).get('num_ignored', 0)
        if type(self.num_ignored) is not int:
            raise CocoError(
                f'{annotation_file}: `info.data_distillation.num_ignored` '
                f'must be an integer, got {format_value(self.num_ignored)}'
            )
        return coco


def parts_of(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a dataset and all that it wraps."""
    yield dataset
    inner = [getattr(dataset, 'dataset', None)]
    for part in getattr(dataset, 'datasets', inner):
        if part is not None:
            yield from parts_of(part)
