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

    Without padding. Processes share out blocks of `block_size`
    consecutive images, which do not depend on how many processes there are:
    with blocks of the batch size an image meets the same images in a forward
    pass, and its detections are the same to the last bit.

    Jobs that know nothing of each other, such as those of a job array, take a
    part each: every `num_parts`-th block, whatever is done already, so that
    jobs which start at different times agree.

    Args:
        dataset: The dataset to go through.
        seed: Not used; the runner passes one to every sampler.
        part: Which of the parts to go through, from 0.
        num_parts: How many jobs share the dataset out among them.
        rank: Which of the job's processes this is, from 0; None to ask
            MMEngine.
        world_size: How many processes the job has; None to ask MMEngine.

    Raises:
        ValueError: If there is no such part.
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
        # Outside of a job array its variables are empty: no numbers.
        are_numbers = isinstance(part, int) and isinstance(num_parts, int)
        if not (are_numbers and 0 <= part < num_parts):
            raise ValueError(
                'part must be a number from 0 to num_parts - 1, got '
                f'part={part!r}, num_parts={num_parts!r}; number the jobs of '
                'an array from 0: sbatch --array=0-3'
            )
        self.part, self.num_parts = part, num_parts
        self.num_images = len(dataset)
        here = get_dist_info()
        self.rank = here[0] if rank is None else rank
        self.world_size = here[1] if world_size is None else world_size
        self.share_out(done=set(), block_size=1)

    def share_out(self, done: Set[int], block_size: int) -> None:
        """Choose this process's images, once: every batch asks for `len`.

        Afterwards `num_pending` says how many all processes of the job have.

        Args:
            done: The images to leave out.
            block_size: How many consecutive images go to one process.
        """
        self.done, self.block_size = done, block_size
        blocks = defaultdict(list)
        for i in range(self.num_images):
            block = i // block_size
            if block % self.num_parts == self.part and i not in done:
                blocks[block].append(i)
        # What is left of a block comes last, lest it shift whole ones.
        in_order = sorted(blocks.values(), key=len, reverse=True)
        self.num_pending = sum(map(len, in_order))
        mine = in_order[self.rank :: self.world_size]
        self.indices = list(chain.from_iterable(mine))

    def __iter__(self) -> Iterator[int]:
        """Yield this process's indices, whole blocks first, ascending."""
        yield from self.indices

    def __len__(self) -> int:
        """Return how many images this process still has to go through."""
        return len(self.indices)
