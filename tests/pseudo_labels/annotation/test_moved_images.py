"""What is said of images that were moved or exchanged."""

from pathlib import Path

from projects.data_distillation.pseudo_labels.annotation.moved_images import (
    describe_moved,
)
from projects.data_distillation.pseudo_labels.detections.moved import (
    MovedImages,
)

FOLDER = Path('detections')


def test_log_says_which_images_were_exchanged():
    one = MovedImages(FOLDER, changed=frozenset(['b.png']))
    many = MovedImages(FOLDER, changed=frozenset(['b.png', 'a.png']))

    (line,) = describe_moved(one)
    (lines,) = describe_moved(many)

    assert line == (
        'the image b.png was exchanged under its name: what was detected '
        'before counts no more, and is kept in detections/moved/'
    )
    assert lines.startswith(
        '2 images were exchanged under their names, the first is a.png: what'
    )


def test_log_counts_images_that_moved_and_not_those_that_stayed():
    rows = dict.fromkeys('abc', (FOLDER / 'x.parquet', 0))

    moved = MovedImages(FOLDER, rows, stayed=frozenset('ad'))

    assert describe_moved(moved) == [
        '2 images have another name or folder than before, but the same '
        'content: their detections are kept'
    ]
    assert describe_moved(MovedImages(FOLDER)) == []
