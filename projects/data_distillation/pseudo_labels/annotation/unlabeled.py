"""UnlabeledDataset: the images to annotate."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from mmcv.transforms import TestTimeAug
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from ...files.decoding import (
    IMAGE_SUFFIXES,
    ImageError,
    decode_image,
    escape_non_utf8,
    list_image_names,
    read_image_file,
    walk_files,
)
from ...files.known_digests import hash_image, read_state
from ...label_files.coco.reading import CocoError, read_coco
from ...label_files.coco.schema import find_name_error, find_repeated
from ...multi_view.inference.unreadable import make_unreadable
from ...text import format_error


@DATASETS.register_module()
class UnlabeledDataset(BaseDetDataset):
    """Images without labels, from a folder or from a COCO file.

    An image that cannot be used does not end the run. Its sample carries the
    reason, see `is_unreadable`.

    Args:
        ann_file: A COCO file, of which only `images` is read (`id` and
            `file_name`). With `''`, the dataset has every image below
            `data_prefix['img']`, at any depth, whose suffix is one of
            `IMAGE_SUFFIXES` in upper or lower case, and that is not hidden
            (see `walk_files`). Of these, images with a name that no COCO file
            may have (see `find_name_error`) are listed as unreadable.
        **kwargs: The arguments of `BaseDetDataset`: `data_prefix`, a
            `dict(img=FOLDER)`; `data_root`; `metainfo` with the classes of
            the teacher; `pipeline`; `indices`, of which those of images that
            are not there any more are left out.

    Raises:
        FileNotFoundError: If the file or the folder does not exist.
        CocoError: If the file is no JSON object, has no images, the same id or
            name twice, or a name that leads outside the folder; or if two
            images of a folder have the same name, see `escape_non_utf8`.
        ValueError: If the folder has no images, or `data_prefix` no `img`.
    """

    def __init__(self, ann_file: str = '', **kwargs: object) -> None:
        # In training mode, MMEngine takes another image for one that fails.
        super().__init__(ann_file=ann_file, test_mode=True, **kwargs)

    def load_data_list(self) -> list[dict]:
        r"""List the images.

        Returns:
            One dict per image, in the order of the file or, in a folder,
            sorted by name:

            - `img_path`: the path of the image.
            - `file_name`: the name relative to the image folder, with `/`.
              Bytes that are not UTF-8 are written as `\xe9`.
            - `image_id`: the id in the file. None in a folder: files may come
              and go, so ids are given when the labels are written.
            - `img_id`: the same, but in a folder the number of the image,
              starting with 1.
            - `name_error`: what is wrong with the name; `''` if nothing is.
            - `text`, `caption_prompt` and `custom_entities`: the prompt, only
              with `return_classes`.

        Raises:
            FileNotFoundError, CocoError, ValueError: See the class.
        """
        if 'img' not in self.data_prefix:
            raise ValueError(
                'data_prefix must name the image folder, dict(img=FOLDER), '
                f'got {dict(self.data_prefix)}'
            )
        folder = Path(self.data_prefix['img'])
        infos = self._read_infos() if self.ann_file else list_images(folder)
        # Some detectors take the names of the classes as a prompt.
        prompt = (
            dict(
                text=self.metainfo['classes'],
                caption_prompt=self.caption_prompt,
                custom_entities=True,
            )
            if self.return_classes
            else {}
        )
        # Images may have been taken out since a config listed these.
        if isinstance(listed := vars(self)['_indices'], Sequence):
            self._indices = [i for i in listed if i < len(infos)]
        return [
            dict(
                prompt,
                img_path=str(folder / info['file_name']),
                img_id=number if info['id'] is None else info['id'],
                file_name=escape_non_utf8(info['file_name']),
                name_error=find_name_error(info['file_name']),
                image_id=info['id'],
            )
            for number, info in enumerate(infos, 1)
        ]

    def map_image_ids(self) -> dict[str, int | None]:
        """Map the file name of every image to its id.

        Returns:
            File name -> id in the COCO file, in order; None for images of a
            folder.
        """
        infos = map(self.get_data_info, range(len(self)))
        return {info['file_name']: info['image_id'] for info in infos}

    def prepare_data(self, idx: int) -> dict:
        """Load one image.

        Args:
            idx: The index of the image.

        Returns:
            `inputs` and `data_samples` as the pipeline packs them, with
            `file_name`, `image_id`, `img_path`, `sha256` (of the file; empty
            if it cannot be read) and `state` (see `read_state`) in the
            metainfo of the samples. An image that cannot be used gives what
            `make_unreadable` returns, whatever the pipeline raises. With
            `TestTimeAug`, both are lists with an element for each view.
        """
        info = self.get_data_info(idx)
        known = {
            key: info[key] for key in ('file_name', 'image_id', 'img_path')
        }
        # Before it is read: what is written meanwhile is then noticed.
        known['state'] = read_state(info['img_path'])
        data, known['sha256'] = self._load(info)
        samples = data['data_samples']
        # `TestTimeAug` gives a list, with a sample for each view.
        for sample in samples if isinstance(samples, list) else [samples]:
            # Only now: `PackDetInputs` keeps nothing but its `meta_keys`.
            sample.set_metainfo(known)
        return data

    def _load(self, info: dict) -> tuple[dict, str]:
        try:
            if info['name_error']:
                raise ImageError(f'its name {info["name_error"]}: rename it')
            # Read for the digest; the pipeline reads the file again by its
            # path.
            content = read_image_file(info['img_path'])
        except ImageError as error:
            # Whoever mends the file makes it another one.
            digest = hash_image(info['img_path']) or ''
            return self._as_views(make_unreadable(str(error))), digest
        digest = hashlib.sha256(content).hexdigest()
        try:
            return self.pipeline(info), digest
        # A broken file may make a decoder raise anything. The run goes on.
        except Exception as error:
            reason = explain_loading_error(content, error)
            return self._as_views(make_unreadable(reason)), digest

    def _as_views(self, data: dict) -> dict:
        """Repeat an unreadable sample for each view that the loader makes."""
        last = self.pipeline.transforms[-1]
        if not isinstance(last, TestTimeAug):
            return data
        count = len(last.subroutines)
        return {key: [value] * count for key, value in data.items()}

    def _read_infos(self) -> list[dict]:
        infos = read_coco(self.ann_file, 'images')['images']
        names = [info['file_name'] for info in infos]
        check_unique(names, 'file_name', self.ann_file)
        return infos


def list_images(folder: Path) -> list[dict]:
    """List the images below a folder.

    Args:
        folder: The folder, which is searched at any depth.

    Returns:
        `dict(id=None, file_name=RELATIVE_PATH)` per image, sorted by name.
        Hidden files and files of other kinds are left out, and the log says
        how many.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the folder has no image.
        CocoError: If two images have the same name, see `escape_non_utf8`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f'folder of unlabeled images not found: {folder}'
        )
    names = list_image_names(folder)
    num_files = sum(1 for _ in walk_files(folder, with_hidden=True))
    if not names:
        raise ValueError(
            f'no image in {folder} or below: none of its {num_files} files '
            f'ends in {", ".join(sorted(IMAGE_SUFFIXES))}, or all are hidden'
        )
    if num_others := num_files - len(names):
        # As a warning it is logged once, however often the folder is listed.
        print_log(
            f'{folder}: {len(names):,} images; {num_others:,} other files '
            '(hidden, or with another suffix) are left out',
            'current',
            logging.WARNING,
        )
    # Two names may differ only in bytes that are not UTF-8.
    check_unique(list(map(escape_non_utf8, names)), 'file_name', str(folder))
    return [dict(id=None, file_name=name) for name in names]


def check_unique(values: list, key: str, source: str) -> None:
    """Check that no image id or file name occurs twice.

    Args:
        values: The value of each image.
        key: The key of the values, for the message.
        source: The file or folder that they come from, for the message.

    Raises:
        CocoError: With the number of values that occur more than once, and
            the first of them.
    """
    twice = find_repeated(values)
    if twice:
        raise CocoError(
            f'{source}: {len(twice)} values of `{key}` occur more than '
            f'once in `images`, the first is {twice[0]!r}'
        )


def explain_loading_error(content: bytes, error: Exception) -> str:
    """Say in one line why a pipeline failed on an image.

    If the image itself cannot be decoded, that is the reason. Otherwise it is
    the error of the pipeline.

    Args:
        content: The content of the image file.
        error: The error that the pipeline has raised.

    Returns:
        The reason, for a person.
    """
    try:
        decode_image(content)
    except ImageError as reason:
        return str(reason)
    return f'{type(error).__name__}: {format_error(error)}'


def spread_indices(total: int, num: int) -> list[int]:
    """Choose some images, spread evenly over all.

    Args:
        total: The number of all images.
        num: The number of images to choose; all if there are fewer.

    Returns:
        Their indices, ascending and counted from 0; the first one is 0. It is
        empty if `num` or `total` is 0.
    """
    num = min(num, total)
    # All different, because `num` is at most `total`.
    return [n * total // num for n in range(num)]
