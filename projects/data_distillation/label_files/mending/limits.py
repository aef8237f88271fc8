"""A mending that would drop or change much of a file stops."""

from collections.abc import Mapping

from .choices import Choices, MendingError

# A few entries are broken in many files. If the same is wrong in at least
# this number of them and in more than this share, the file is another than it
# seems to be (other units, other ids, another folder), and what would be
# dropped is right.
FEWEST, LARGEST_SHARE = 5, 0.1


def check_share(
    counts: Mapping[str, int], total: int, advice: str, choices: Choices
) -> None:
    """Check that little is dropped or changed.

    Args:
        counts: What is to be done -> how often.
        total: The number of all entries.
        advice: What these are, and what may be wrong with all of them, in
            words that follow `total` in the message.
        choices: With `drop_many`, anything may be dropped.

    Raises:
        MendingError: If the counts add up to at least `FEWEST`, and to more
            than the share `LARGEST_SHARE` of `total`, without `drop_many`.
    """
    num_lost = sum(counts.values())
    if choices.drop_many or num_lost < FEWEST:
        return
    if num_lost > LARGEST_SHARE * total:
        done = ', '.join(f'{n:,} {what}' for what, n in counts.items() if n)
        raise MendingError(
            f'{done}: that would be {num_lost:,} of {total:,} {advice} '
            '--drop-many does it all the same'
        )
