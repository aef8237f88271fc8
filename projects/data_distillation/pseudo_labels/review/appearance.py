"""What images look like, so that they can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...files.decoding import ImageError, decode_image, read_image_file
from ...label_files.coco.image_files import MAX_DISTANCE, hash_pixels
from .features import Describe, normalize_vector


@dataclass(frozen=True)
class Appearance:
    """What n images look like.

    Args:
        vectors: Shape (n, k), float32, of length 1; 0 for an image that cannot
            be read.
        bits: The perceptual hash of each image, see `hash_pixels`; None
            without one.
    """

    vectors: np.ndarray
    bits: list[np.ndarray | None]

    def are_near(self, index: int, other: 'Appearance') -> np.ndarray:
        """Return which images of another set are nearly the same as one.

        Args:
            index: The number of the image here.
            other: The other images, m of them.

        Returns:
            Shape (m,), bool: whether at most `MAX_DISTANCE` bits of the hashes
            differ. It is False where one of the two has no hash.
        """
        mine = self.bits[index]
        return np.array(
            [
                mine is not None
                and bits is not None
                and (mine != bits).sum() <= MAX_DISTANCE
                for bits in other.bits
            ],
            bool,
        )

    def measure_distances(self, index: int) -> np.ndarray:
        """Measure how far all images are from one.

        Args:
            index: The number of the one image.

        Returns:
            Shape (n,), 0 to 1, see `measure_distances`: about 0 for the image
            itself; all 1 if it could not be read.
        """
        return measure_distances(self.vectors, self.vectors[index][None])


def measure_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the distance of each vector from the nearest of others.

    Args:
        one: Shape (n, k), vectors of length 1, or zeros for an image that
            cannot be read.
        other: Shape (m, k), the others, in the same form.

    Returns:
        Shape (n,), half of 1 minus the cosine, from 0 to 1; 1 if none of one
        side could be read, or there is no other. The cosine with zeros is 0.
    """
    # Vectors of images that all cannot be read have another length.
    if not (one.any() and other.any()):
        return np.ones(len(one))
    # (n, m), the cosines: vectors have the length 1. Rounding may lead out of
    # the range.
    return np.clip((1 - (one @ other.T).max(axis=1)) / 2, 0, 1)


def find_appearance(paths: Sequence[str], describe: Describe) -> Appearance:
    """Describe images.

    Args:
        paths: The image files.
        describe: Makes a vector of the pixels of an image, see
            `describe_colors`.

    Returns:
        A row for each image, in order; zeros and no hash for one that cannot
        be read. If none can be, the vectors have one element.
    """
    vectors: list[np.ndarray | None] = []
    bits: list[np.ndarray | None] = []
    for path in paths:
        try:
            pixels = decode_image(read_image_file(path))
        except ImageError:
            vectors.append(None)
            bits.append(None)
            continue
        vectors.append(normalize_vector(describe(pixels)))
        bits.append(hash_pixels(pixels))
    size = next((len(v) for v in vectors if v is not None), 1)
    filled = [np.zeros(size, np.float32) if v is None else v for v in vectors]
    # Without images, the array has one dimension.
    return Appearance(np.array(filled, np.float32).reshape(-1, size), bits)
