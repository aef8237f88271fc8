"""Average precision for many draws of the images at once."""

import numpy as np

from ...label_files.coco.matching import ImageMatches

# COCO reads precision off at these recalls.
RECALLS = np.linspace(0, 1, 101)
# Of this many numbers is each of a few matrices in memory, of draws times
# detections of a class.
MATRIX_SIZE = 2_000_000


def compute_mean_ap(matches: ImageMatches, weights: np.ndarray) -> np.ndarray:
    """Compute COCO's mAP of detections for one or more draws of their images.

    The mean is over the classes and the IoUs of the matches.

    Args:
        matches: The detections on m images, matched with the truth.
        weights: Shape (k, m), how often each image is in each draw; k is at
            least 1.

    Returns:
        Shape (k,), in [0, 1]. Classes without an object in a draw do not count
        there. It is 0 for a draw without objects.
    """
    most = np.bincount(matches.labels, minlength=1).max()
    num_parts = min(len(weights), 1 + len(weights) * most // MATRIX_SIZE)
    parts = np.array_split(weights, num_parts)
    return np.concatenate([average_classes(matches, part) for part in parts])


def average_classes(matches: ImageMatches, weights: np.ndarray) -> np.ndarray:
    """Compute what `compute_mean_ap` does, for all draws at once.

    Args:
        matches: The detections on m images, matched with the truth.
        weights: Shape (k, m), how often each image is in each draw.

    Returns:
        Shape (k,), in [0, 1].
    """
    num_truth = weights @ matches.num_truth
    of_class = np.stack(
        [
            compute_average_precision(matches, label, weights)
            for label in range(num_truth.shape[1])
        ],
        axis=1,
    )
    # COCO leaves out classes without an object.
    is_there = num_truth > 0
    return (of_class * is_there).sum(1) / np.maximum(is_there.sum(1), 1)


def compute_average_precision(
    matches: ImageMatches, label: int, weights: np.ndarray
) -> np.ndarray:
    """Compute the AP of one class, the mean over the IoUs.

    Args:
        matches: The detections on m images, matched with the truth.
        label: The class.
        weights: Shape (k, m), how often each image is in each draw.

    Returns:
        Shape (k,), in [0, 1]; 0 for a draw without an object of the class. Of
        equal scores, the detection that is earlier in the matches is first.
    """
    of_class = np.flatnonzero(matches.labels == label)
    order = np.argsort(-matches.scores[of_class], kind='stable')
    best_first = of_class[order]
    found = weights[:, matches.image_index[best_first]]  # (k, n)
    is_right = matches.is_right[best_first].T  # (t, n)
    is_counted = matches.is_counted[best_first].T
    num_all = np.cumsum(found, axis=1)
    num_truth = weights @ matches.num_truth[:, label]
    precisions = []
    for right, counted in zip(is_right, is_counted, strict=True):
        # Nearly always all of them count.
        all_count = counted.all()
        num = num_all if all_count else np.cumsum(found * counted, axis=1)
        precisions.append(
            read_drawn_precision(found[:, right], num[:, right], num_truth)
        )
    return np.mean(precisions, axis=0)


def read_drawn_precision(
    right: np.ndarray, num_found: np.ndarray, num_truth: np.ndarray
) -> np.ndarray:
    """Average the precision at `RECALLS`, in each of some draws.

    The precision at a recall is the highest at this or a higher recall, and 0
    above the highest recall. It is highest at a detection that is right, so
    the others are needed only in `num_found`.

    Args:
        right: Shape (k, n), how often each draw has each of n right
            detections, by descending score.
        num_found: Shape (k, n), how many detections, right or wrong, each draw
            has up to there.
        num_truth: Shape (k,), the number of objects.

    Returns:
        Shape (k,), from 0 to 1; 0 without detections or objects.
    """
    num_right = right.cumsum(axis=1)
    # A draw may lack the image of the best detection, or have no object.
    precision = num_right / np.maximum(num_found, 1)
    recall = num_right / np.maximum(num_truth, 1)[:, None]
    # A running maximum from the right: at this or a higher recall.
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # The last column is for recalls that are not reached.
    highest = np.pad(highest, [(0, 0), (0, 1)])
    read = np.take_along_axis(highest, find_recalls(recall), axis=1)
    return np.where(num_truth > 0, read.mean(axis=1), 0.0)


def find_recalls(recall: np.ndarray) -> np.ndarray:
    """Find the first detection at which each of `RECALLS` is reached.

    Args:
        recall: Shape (k, n), ascending in each row.

    Returns:
        Shape (k, number of `RECALLS`), int, indices from 0; n where the recall
        is not reached.
    """
    num_rows, num_recalls = len(recall), len(RECALLS)
    # How many of `RECALLS` each detection has reached; the numbers of each
    # row are apart from those of the others.
    reached = np.searchsorted(RECALLS, recall, 'right')
    reached += np.arange(num_rows)[:, None] * (num_recalls + 1)
    counts = np.bincount(
        reached.ravel(), minlength=num_rows * (num_recalls + 1)
    ).reshape(num_rows, -1)
    # Before a recall is reached come the detections that have reached less.
    return counts.cumsum(axis=1)[:, :num_recalls]


def draw_images(num_images: int, num_draws: int = 200) -> np.ndarray:
    """Draw images with replacement, for bootstrap estimates.

    Args:
        num_images: The number m of images, and of those in a draw, at least 1.
        num_draws: The number of draws.

    Returns:
        Shape (num_draws, m), int64, how often each image was drawn.
        It is the same at each call, so that estimates are paired.

    Source:
        Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    # The same draws for all: what differs between two models is not the draw.
    random = np.random.default_rng(0)
    shares = np.full(num_images, 1 / num_images)
    # How often each image comes in a draw with replacement is multinomial.
    return random.multinomial(num_images, shares, num_draws)


def weigh_images(is_seen: np.ndarray, num_draws: int) -> np.ndarray:
    """Return the weights of images for an estimate and its bootstrap draws.

    Args:
        is_seen: Shape (m,), bool, the images to look at; at least one.
        num_draws: The number k of draws.

    Returns:
        Shape (1 + k, m), float64: first each of these images once, then how
        often it is in each draw of `draw_images`. Other images have the weight
        0.

    Raises:
        ValueError: If there is no image to look at.
    """
    num_seen = int(is_seen.sum())
    if not num_seen:
        raise ValueError(
            'at least one image with true labels is needed to measure mAP, '
            f'got 0 of {len(is_seen)}: add images to the validation file'
        )
    weights = np.zeros((1 + num_draws, len(is_seen)))
    weights[0] = is_seen
    weights[1:, is_seen] = draw_images(num_seen, num_draws)
    return weights
