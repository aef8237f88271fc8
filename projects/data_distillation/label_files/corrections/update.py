"""Puts corrected images into the labeled set, and out of the unlabeled one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...arguments import is_number
from ...files.image_names import ImageFinder
from ...files.versions import find_version
from ..coco.checks import check_repeated_names
from ..coco.contents import take_images
from ..coco.problems import Problem
from ..coco.reading import (
    UNCHECKED,
    CocoError,
    check_entries,
    check_required,
    read_checked,
)
from ..coco.schema import MIN_SIDE
from ..coco.tables import CocoFile
from ..segmentations.areas import measure_segmentation
from .corrected_image import CorrectedImage
from .notes import describe_all


@dataclass(frozen=True)
class Updated:
    """Both sets with what was corrected.

    Args:
        labeled: The COCO object of the labeled set.
        unlabeled: The COCO object of the unlabeled set.
        notes: What was done, in words; see `describe_update`.
    """

    labeled: dict
    unlabeled: dict
    notes: list[str]


def read_numbered(path: str | Path) -> dict:
    """Read the COCO file of a labeled set, to which labels are added.

    Args:
        path: The path of the file.

    Returns:
        The content of the file, which has an annotation at least.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object in UTF-8, breaks a rule of
            `check_required` for the three lists, an annotation has no integer
            as its `id`, or a name of an image or a category occurs twice.
    """

    def check(file: CocoFile) -> Iterator[Problem]:
        """Require the three lists, ids of annotations, and single names."""
        lists = ('images', 'annotations', 'categories')
        yield from check_required(file, lists)
        yield from check_entries(file, dict(annotations=['id']))
        # By names, corrected images and their classes are found.
        yield from check_repeated_names(file)

    return read_checked(path, check)


def update_sets(
    labeled: dict,
    unlabeled: dict,
    images: Sequence[CorrectedImage],
    empty_is_checked: bool = False,
    partly: bool = False,
) -> Updated:
    """Put images that a person has corrected into the labeled set.

    An unlabeled image becomes a labeled one, with a new id, after all others;
    what labels it had in the unlabeled set are dropped. The labels of an image
    that is labeled already are replaced. The ids of all other images and
    labels stay.

    Args:
        labeled: The COCO object of the labeled set; see `read_numbered`.
        unlabeled: The COCO object of the unlabeled set; see
            `reading.read_unlabeled`.
        images: The corrected images, with boxes xywh in pixels. Those that are
            marked as deleted stay as they are in their set.
        empty_is_checked: Whether images without a box have no object. If not,
            they stay as they are, because nobody may have looked at them. An
            image of which the tool says that it is annotated counts anyway.
        partly: Whether only the boxes were checked, and nobody knows what else
            is on the images. The rest of each is then a region to ignore, and
            an image without a box stays as it is.

    Returns:
        The new sets and notes for the user; the given ones are not changed.

    Raises:
        CocoError: If an image is in neither set, has the name of one in both,
            may be any of several, came back twice or in another size, if a
            class is unknown, if a box is not finite, outside its image or
            thinner than `MIN_SIDE` there, or if the size of an image is
            unknown whose rest is to be ignored.
    """
    given = images
    images = [one for one in given if not one.is_deleted]
    known = find_images(labeled, unlabeled, images)
    ids = {c['name']: c['id'] for c in labeled['categories']}
    done = {}
    for one, image in zip(images, known, strict=True):
        # With `partly`, only a box shows that somebody has looked.
        if one.boxes if partly else is_done(one, empty_is_checked):
            labels = make_labels(one, image, ids)
            rest = [make_unchecked(one, image, labeled)] if partly else []
            done[image['file_name']] = labels + rest
    old = {i['file_name']: i['id'] for i in labeled['images']}
    # Of all images: of those of one name, `old` has the last one only.
    next_id = 1 + max((i['id'] for i in labeled['images']), default=0)
    is_new = done.keys() - old.keys()
    added = [image for image in known if image['file_name'] in is_new]
    new = [dict(image, id=next_id + n) for n, image in enumerate(added)]
    targets = {old[name]: name for name in done if name in old}
    targets |= {image['id']: image['file_name'] for image in new}
    left = {
        image['id']
        for image in unlabeled['images']
        if image['file_name'] not in done
    }
    return Updated(
        dict(
            labeled,
            images=[*labeled['images'], *new],
            annotations=renew_labels(labeled['annotations'], targets, done),
        ),
        take_images(unlabeled, left),
        describe_all(labeled, given, done, len(new)),
    )


def is_done(image: CorrectedImage, empty_is_checked: bool) -> bool:
    """Return whether an image counts as checked by a person.

    Args:
        image: The corrected image.
        empty_is_checked: Whether one without a box counts, if its tool says
            nothing.

    Returns:
        What its tool says (`is_annotated`); if that is nothing, whether it has
        a box, or need not have one.
    """
    if image.is_annotated is not None:
        return image.is_annotated
    return bool(image.boxes) or empty_is_checked


def find_images(
    labeled: dict, unlabeled: dict, images: Sequence[CorrectedImage]
) -> list[dict]:
    """Find which images of the two sets came back.

    Tools rename images; see `files.image_names`. A name with a mark of
    Roboflow is that of no image with another mark.

    Args:
        labeled: The COCO object of the labeled set.
        unlabeled: The COCO object of the unlabeled set.
        images: The corrected images.

    Returns:
        The entry of each in its set, in order.

    Raises:
        CocoError: If an image is in neither set or has the name of one in
            both, may be any of several, came back twice, or has another size.
    """
    by_name, others = (
        {image['file_name']: image for image in coco['images']}
        for coco in (labeled, unlabeled)
    )
    in_both = by_name.keys() & others
    by_name |= others
    # The finder knows only `/` between folders.
    known = {name.replace('\\', '/'): name for name in by_name}
    finder = ImageFinder.of_names(known)
    found: dict[str, str] = {}
    for image in images:
        same = (image.renamed or image.name, image.name)
        names = [name for name in same if name in by_name][:1]
        names = names or [known[n] for n in finder.find(image.name)]
        # Of Roboflow, only the very same version has the same pixels.
        marks = ('', *map(find_version, (image.name, image.renamed or '')))
        names = [n for n in names if find_version(n) in marks]
        if len(names) != 1:
            what = f'may be any of {names}' if names else 'is in neither set'
            raise CocoError(
                f'the corrected image {image.name!r} {what}: give the labels '
                'of images that were labeled or unlabeled in this experiment'
            )
        if names[0] in in_both:
            raise CocoError(
                f'{names[0]!r} is the name of a labeled and of an unlabeled '
                'image: rename one of them, since labeled images are in one '
                'folder'
            )
        if names[0] in found:
            raise CocoError(
                f'{names[0]!r} came back twice, as {found[names[0]]!r} and '
                f'{image.name!r}: keep one of them'
            )
        found[names[0]] = image.name
        check_size(image, by_name[names[0]])
    # In the order of `images`: `found` was filled in this order.
    return [by_name[name] for name in found]


def check_size(image: CorrectedImage, known: dict) -> None:
    """Check that a tool did not resize an image.

    Nothing is compared if either size is not known.

    Args:
        image: The corrected image; `size_wh` is None if its tool gave no size.
        known: The entry of the image in its set.

    Raises:
        CocoError: If it did: the boxes would be wrong.
    """
    size_wh = known.get('width'), known.get('height')
    if image.size_wh and None not in size_wh and image.size_wh != size_wh:
        raise CocoError(
            f'{image.name!r} has {image.size_wh} pixels (width, height) in '
            f'the corrected labels, and {size_wh} in the experiment: export '
            'it without resizing or cropping'
        )


def make_labels(
    image: CorrectedImage, known: dict, ids: dict[str, int]
) -> list[dict]:
    """Make COCO annotations of the boxes of an image, without ids.

    Args:
        image: The corrected image, with boxes xywh in pixels.
        known: The entry of the image in its set, whose size comes before that
            in `image`.
        ids: Name of a class -> id.

    Returns:
        The annotations in order, without `id` and `image_id`, with boxes (xywh
        in pixels) that are rounded to 1/100, and clipped to the image as far
        as its size is known, and `area`: the pixels of the mask, or w * h
        without a mask that can be drawn. Other keys to keep are in them as
        they are: a mask is not clipped.

    Raises:
        CocoError: If a class is unknown, or a box is not finite, or after
            clipping thinner than `MIN_SIDE`, as one outside the image is.
    """
    width = known.get('width') or (image.size_wh or (None, None))[0]
    height = known.get('height') or (image.size_wh or (None, None))[1]
    labels = []
    for (x, y, w, h), name, extra in image.boxes:
        if name not in ids:
            raise CocoError(
                f'{image.name!r} has a box of class {name!r}, which the '
                f'labeled set does not have; it has {list(ids)}'
            )
        if not all(map(is_number, (x, y, w, h))):
            raise CocoError(
                f'{image.name!r} has a box of {name!r} whose numbers must be '
                f'finite, got {[x, y, w, h]}. Delete it'
            )
        left, top = max(x, 0.0), max(y, 0.0)
        right, bottom = (
            v if side is None else min(v, side)
            for v, side in ((x + w, width), (y + h, height))
        )
        clipped_xywh = left, top, right - left, bottom - top
        if min(clipped_xywh[2:]) < MIN_SIDE:
            raise CocoError(
                f'{image.name!r} has a box of {name!r} that is thinner than a '
                f'pixel or outside the image: {[x, y, w, h]}. Delete it'
            )
        bbox_xywh = [round(v, 2) for v in clipped_xywh]
        label = dict(
            category_id=ids[name],
            bbox=bbox_xywh,
            area=measure_segmentation(extra.get('segmentation'))
            or round(bbox_xywh[2] * bbox_xywh[3], 2),
            iscrowd=0,
        )
        # `extra` last: its `iscrowd` replaces this one.
        labels.append(label | extra)
    return labels


def make_unchecked(image: CorrectedImage, known: dict, labeled: dict) -> dict:
    """Make the annotation that says that the rest of an image is unchecked.

    Args:
        image: The corrected image.
        known: The entry of the image in its set.
        labeled: The COCO object of the labeled set.

    Returns:
        A crowd of the size of the image, without `id` and `image_id`, with the
        key `UNCHECKED`. Its class is the first one, and means nothing. It has
        a polygon around the image if any label of the set has a
        `segmentation`.

    Raises:
        CocoError: If the size of the image is not known.
    """
    told = image.size_wh or (0, 0)
    width = known.get('width') or told[0]
    height = known.get('height') or told[1]
    if not (width and height):
        raise CocoError(
            f'{image.name!r} has no size, neither in its set nor in the '
            'corrected labels: add `width` and `height` to its entry '
            '(tools/check_coco.py --fix does, with --images)'
        )
    rest = dict(
        category_id=labeled['categories'][0]['id'],
        bbox=[0, 0, width, height],
        area=width * height,
        iscrowd=1,
    )
    if any(one.get('segmentation') for one in labeled['annotations']):
        polygon = [0, 0, width, 0, width, height, 0, height]
        # Training on masks needs a number with a decimal point.
        rest['segmentation'] = [list(map(float, polygon))]
    return rest | {UNCHECKED: 1}


def renew_labels(
    labels: list[dict], targets: dict[int, str], done: dict[str, list[dict]]
) -> list[dict]:
    """Keep the labels that stay, and add the new ones with ids of their own.

    Args:
        labels: The labels before, each with `id` and `image_id`.
        targets: Image id -> the name of an image with new labels.
        done: Name -> its new labels, without these two keys.

    Returns:
        The old ones of all other images in order, then the new ones, image by
        image as `targets` has them, as copies with ids above all old ones;
        these begin at 1 if there were none.

    Raises:
        KeyError: If a label lacks `id` or `image_id`.
    """
    next_id = 1 + max((label['id'] for label in labels), default=0)
    kept = [one for one in labels if one['image_id'] not in targets]
    new = [
        dict(label, image_id=image_id)
        for image_id, name in targets.items()
        for label in done[name]
    ]
    return [*kept, *(dict(a, id=next_id + n) for n, a in enumerate(new))]
