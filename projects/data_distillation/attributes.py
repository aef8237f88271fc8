"""Replaces for a time what other packages define."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def replaced(holder: object, name: str, value: object) -> Iterator[None]:
    """Replace an attribute of a module or class.

    Args:
        holder: The module, or the class that defines the attribute itself.
        name: The name of the attribute.
        value: What it is inside the context; `staticmethod(...)` for a method
            without `self`.

    Yields:
        Nothing. After the context, also after an error, the attribute is what
        it was before.

    Raises:
        KeyError: If the holder does not define such an attribute itself, even
            if it inherits one.
    """
    # Unlike `getattr`, it does not unwrap what is a static method.
    before = vars(holder)[name]
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)
