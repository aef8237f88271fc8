"""PendingSampler: the images that are not annotated yet."""

from collections import defaultdict
from collections.abc import Iterator, Set
from itertools import chain

from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import BaseDataset
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()
class PendingSampler(Sampler[int]):
    """Yields each image that is not annotated yet to exactly one process.

    No image is repeated to give all processes the same number. The processes
    share out blocks of `block_size` consecutive images, and the blocks do not
    depend on the number of processes. If a block has the size of a batch, the
    images of a block of which none is done always meet in a forward pass, and
    their detections are the same to the last bit.

    Jobs that know nothing of each other, such as those of a job array, take a
    part each: every `num_parts`-th block, whether it is done already or not.
    So jobs that start at different times agree on the parts.

    Args:
        dataset: The dataset to go through.
        seed: A seed, which is not used. The runner passes it to every sampler.
        part: The number of the part to go through, starting with 0.
        num_parts: The number of jobs that share out the dataset.
        rank: The number of this process within the job, starting with 0; None
            to ask MMEngine.
        world_size: The number of processes of the job; None to ask MMEngine.

    Attributes:
        done: The indices of the images that are left out, of all parts.
        num_pending: The number of images that all processes of the job have to
            do together.
        indices: Those of this process, in the order of the iteration.

    Raises:
        ValueError: If there is no such part, or `part` or `num_parts` is no
            integer.
    """

    def __init__(
        self,
        dataset: BaseDataset,
        seed: int | None = None,
        part: int = 0,
        num_parts: int = 1,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        # Outside a job array, its variables are empty strings.
        are_numbers = isinstance(part, int) and isinstance(num_parts, int)
        if not (are_numbers and 0 <= part < num_parts):
            raise ValueError(
                'part must be a number from 0 to num_parts - 1, got '
                f'part={part!r}, num_parts={num_parts!r}; number the jobs of '
                'an array starting with 0: sbatch --array=0-3'
            )
        self.part, self.num_parts = part, num_parts
        self.num_images = len(dataset)
        here = get_dist_info()
        self.rank = here[0] if rank is None else rank
        self.world_size = here[1] if world_size is None else world_size
        # Until the hook knows what is done, nothing is.
        self.share_out(done=set(), block_size=1)

    def share_out(self, done: Set[int], block_size: int) -> None:
        """Choose the images of this process.

        Args:
            done: The indices of the images to leave out; those of other parts
                have no effect.
            block_size: The number of consecutive images that go to one
                process, at least 1.
        """
        self.done, self.block_size = done, block_size
        blocks = defaultdict(list)
        for i in self.draw_part(block_size):
            if i not in done:
                blocks[i // block_size].append(i)
        # Blocks of which a part is done come last, so that whole blocks stay
        # whole batches.
        in_order = sorted(blocks.values(), key=len, reverse=True)
        self.num_pending = sum(map(len, in_order))
        # In turns, so that no process has more than one block more.
        mine = in_order[self.rank :: self.world_size]
        # Listed once: the timer of MMEngine asks for `len` at every batch.
        self.indices = list(chain.from_iterable(mine))

    def draw_part(self, block_size: int) -> Iterator[int]:
        """Find the images of this job, done or not.

        Args:
            block_size: The number of consecutive images that go to one
                process, at least 1.

        Yields:
            Their indices, ascending.
        """
        for i in range(self.num_images):
            if i // block_size % self.num_parts == self.part:
                yield i

    def keep_first(self, num_images: int) -> None:
        """Leave this process only its first images; `num_pending` stays.

        Args:
            num_images: The number of images to keep.
        """
        self.indices = self.indices[:num_images]

    def __iter__(self) -> Iterator[int]:
        """Go through the images of this process.

        Yields:
            Their indices, block by block: the blocks of which most is pending
            first, those of equal length ascending.
        """
        yield from self.indices

    def __len__(self) -> int:
        """Return the number of images that this process goes through.

        Returns:
            The number of indices that the iteration gives.
        """
        return len(self.indices)
