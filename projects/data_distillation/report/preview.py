"""`tools/test.py --preview N`: the labels of a few images, and their page."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..command_line import TRUST_FLAG
from ..mmdet_tools import (
    DRY_RUN,
    check_annotates,
    load_mmdet_tool,
    name_work_dir,
    take_flag,
    take_values,
)
from ..pseudo_labels.annotation.unlabeled import spread_indices
from .page import REPORT, write_selection_report
from .shown_labels import find_labels

PREVIEW = '--preview'


def write_preview(annotate: Config, folder: Path) -> Path:
    """Write the page of a preview.

    Args:
        annotate: The config of the annotation.
        folder: The work folder of the preview.

    Returns:
        The file, `report.html` in this folder.

    Raises:
        ValueError, KeyError: See `find_labels`.
        OSError: If the file cannot be written.
    """
    file = folder / REPORT
    write_selection_report(file, find_labels(annotate, folder))
    return file


@dataclass(frozen=True)
class Preview:
    """A preview that `tools/test.py` is asked for.

    Args:
        config: The config of the annotation.
        folder: The work folder of the preview, `preview/` in that of the
            annotation.
        num_images: The number of images.
    """

    config: Config
    folder: Path
    num_images: int

    @classmethod
    def take(cls, argv: list[str]) -> 'Preview | None':
        """Take the flag from the arguments of this process.

        Args:
            argv: The arguments, `sys.argv`, changed in place: without the
                flag, and with the flags for its work folder and its images.

        Returns:
            The preview; None if there is no such flag.

        Raises:
            ValueError: If the config cannot be read or annotates nothing, the
                number is below 1, or a launcher starts several processes.
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            SystemExit: If the arguments cannot be parsed.
        """
        # An abbreviation could be one of a flag that MMDetection's parser has.
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument(PREVIEW, type=int, default=None)
        asked, rest = parser.parse_known_args(argv[1:])
        if asked.preview is None:
            return None
        # MMDetection's parser does not know the flag.
        argv[1:] = rest
        preview = cls.read(asked.preview)
        argv += preview.make_flags()
        return preview

    @classmethod
    def read(cls, num_images: int) -> 'Preview':
        """Read the other arguments of this process from `sys.argv`.

        The flag `--preview` must be gone from them, see `take`.

        Args:
            num_images: The number of images to show.

        Returns:
            The preview of the config that the arguments name.

        Raises:
            ValueError: If there is less than 1 image, or a launcher, or the
                config cannot be read or does not annotate.
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            SystemExit: If the arguments cannot be parsed.
        """
        args = parse_mmdet_args('test.py')
        if num_images < 1 or args.launcher != 'none':
            raise ValueError(
                f'{PREVIEW} needs at least 1 image and no launcher, got '
                f'{num_images} and {args.launcher!r}'
            )
        check_annotates(args.config)
        config = Config.fromfile(args.config)
        config.merge_from_dict(args.cfg_options or {})
        path = Path(args.config)
        work_dir = name_work_dir(path.parent) / path.stem
        folder = Path(args.work_dir or config.get('work_dir') or work_dir)
        return cls(config, folder / 'preview', num_images)

    def make_flags(self) -> list[str]:
        """Make the flags of the work folder and of the images.

        Returns:
            The words for `tools/test.py`; the images are spread evenly over
            all.

        Raises:
            FileNotFoundError, CocoError, ValueError: See `UnlabeledDataset`.
            KeyError: If the type of the dataset is not registered.
        """
        init_default_scope(self.config.get('default_scope', 'mmdet'))
        images = DATASETS.build(self.config.test_dataloader.dataset)
        indices = spread_indices(len(images), self.num_images)
        chosen = ','.join(map(str, indices))
        return [
            *('--work-dir', str(self.folder)),
            '--cfg-options',
            f'test_dataloader.dataset.indices=[{chosen}]',
        ]

    def write_page(self) -> Path:
        """Write the page.

        Returns:
            The file of the page, see `write_preview`.

        Raises:
            ValueError, KeyError: See `find_labels`.
            OSError: If the file cannot be written.
        """
        return write_preview(self.config, self.folder)


def parse_mmdet_args(name: str) -> argparse.Namespace:
    """Read the arguments of this process as a tool of MMDetection does.

    Args:
        name: The file name of the tool, such as `'test.py'`.

    Returns:
        Its arguments. The flags that it does not know, but `run_mmdet_tool`
        does, stay where they are, and are not among them.

    Raises:
        FileNotFoundError: If MMDetection ships no such tool.
        SystemExit: If the tool does not know an argument, or for `--help`.
        ValueError: If the text after `--cfg-json` is no JSON object.
    """
    given = sys.argv[:]
    try:
        for flag in (TRUST_FLAG, DRY_RUN):
            take_flag(flag)
        take_values(sys.argv)
        return load_mmdet_tool(name).parse_args()
    finally:
        sys.argv[:] = given
