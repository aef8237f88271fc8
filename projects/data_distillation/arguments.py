"""Checks of the arguments that a config gives."""


def check_is_fraction(name: str, value: float) -> None:
    """Refuse a value that is not strictly between 0 and 1.

    Args:
        name: The argument's name, for the message.
        value: Its value.

    Raises:
        ValueError: If the value is 0 or less, or 1 or more.
    """
    if not 0 < value < 1:
        raise ValueError(f'{name} must be between 0 and 1, got {value}')


def check_at_least_1(name: str, value: int) -> None:
    """Refuse a value below 1.

    Args:
        name: The argument's name, for the message.
        value: Its value.

    Raises:
        ValueError: If the value is below 1.
    """
    if value < 1:
        raise ValueError(f'{name} must be >= 1, got {value}')


def check_is_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not among the allowed ones.

    Args:
        name: The argument's name, for the message.
        value: Its value.
        allowed: What it may be.

    Raises:
        ValueError: If the value is another.
    """
    if value not in allowed:
        raise ValueError(f'{name} must be one of {allowed}, got {value!r}')


def check_iou(iou: float) -> None:
    """Check that an overlap is one from which a detection can be right.

    Raises:
        ValueError: If it is not in (0, 1].
    """
    if not 0 < iou <= 1:
        raise ValueError(f'iou must be above 0 and at most 1, got {iou}')


def check_above_0(name: str, value: float) -> None:
    """Check that a number of the config is above 0.

    Raises:
        ValueError: If it is not.
    """
    if not value > 0:
        raise ValueError(f'{name} must be above 0, got {value}')


def check_score(name: str, score: float) -> None:
    """Check that a score of the config is one.

    Raises:
        ValueError: If it is not in [0, 1].
    """
    if not 0 <= score <= 1:
        raise ValueError(f'{name} must be between 0 and 1, got {score}')
