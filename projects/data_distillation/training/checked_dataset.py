"""CheckedCocoDataset: a COCO file that is checked when it is loaded."""

from collections.abc import Iterator

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from torch.utils.data import Dataset

from ..label_files.coco.contents import check_classes, find_unchecked
from ..label_files.coco.reading import CocoError, find_origin, read_trainable
from ..text import format_value


class CheckedCOCO(COCO):
    """The index of pycocotools, made after the file was checked.

    Args:
        annotation_file: The COCO file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object in UTF-8, has no images or
            categories, lacks `annotations` (which may be empty), or has a
            broken entry.
    """

    def __init__(self, annotation_file: str) -> None:
        # Without the file, which pycocotools would read without a check.
        super().__init__()
        self.dataset = read_trainable(annotation_file)
        self.createIndex()
        # The names that mmdet's own index has.
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """A `CocoDataset` whose `classes` are the file's categories, in order.

    It serves for labeled, validation and pseudo-labeled images. CocoDataset
    silently drops classes that the file does not have, and numbers the others
    in the order of the file. This dataset raises a `CocoError` instead when it
    loads the file (or a `FileNotFoundError`). Its arguments are those of
    CocoDataset.
    """

    def COCOAPI(self, annotation_file: str) -> COCO:  # noqa: N802 - mmdet's
        """Read and check the file; CocoDataset calls this as its reader.

        It also sets `num_unchecked`, the number of images of which a person
        has checked only some objects, and `num_ignored`, the number of regions
        to ignore that the file notes (0 if it notes none).

        Args:
            annotation_file: The COCO file.

        Returns:
            The index of the file.

        Raises:
            FileNotFoundError: If there is no such file.
            CocoError: If the file is no JSON object in UTF-8, a list is
                missing, there are no images or categories, an entry is broken,
                an id occurs twice, a file name leads outside of the image
                folder, the categories are not the `metainfo.classes` of the
                config in this order, or the number of ignored regions is no
                integer.
        """
        coco = CheckedCOCO(annotation_file)
        check_classes(
            self.metainfo['classes'], coco.dataset['categories'], self.ann_file
        )
        # The regions to ignore of labeled images, and of pseudo labels: only
        # their files have a count.
        self.num_unchecked = len(find_unchecked(coco.dataset['annotations']))
        self.num_ignored = find_origin(coco.dataset).get('num_ignored', 0)
        # `isinstance` would let true and false of JSON pass as 1 and 0.
        if type(self.num_ignored) is not int:
            raise CocoError(
                f'{annotation_file}: `info.data_distillation.num_ignored` '
                f'must be an integer, got {format_value(self.num_ignored)}'
            )
        return coco


def walk_parts(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a dataset, and then all datasets that it wraps, at any depth.

    Args:
        dataset: The dataset; what it wraps is its `datasets`, or its `dataset`
            if it has none of these.

    Yields:
        Each dataset, the outer before the inner, part by part. One that is
        wrapped twice comes twice.
    """
    yield dataset
    inner = [getattr(dataset, 'dataset', None)]
    for part in getattr(dataset, 'datasets', inner):
        if part is not None:
            yield from walk_parts(part)
