"""Reads the config of a detector, whatever kind of config it is."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

import mmdet
from mmengine.config import Config

# Configs of MMDetection 2.x set these, those of 3.x do not.
OLD_SETTINGS = (
    'data',
    'optimizer',
    'lr_config',
    'runner',
    'total_epochs',
    'evaluation',
)
MIGRATION = (
    'https://mmdetection.readthedocs.io/en/latest/migration/'
    'config_migration.html'
)


class DetectorError(ValueError):
    """The config of a detector cannot be used for an experiment."""


def read_config(name: str) -> Config:
    """Read a config as a config that inherits from it would.

    Args:
        name: The path of the config, or `mmdet::family/name.py`.

    Returns:
        The config. In one that is written with `read_base()`, the types are
        texts, as in other configs.

    Raises:
        FileNotFoundError: If there is no such config; the message names
            configs with a similar name. Also if it inherits from a config that
            does not exist.
        DetectorError: If the config cannot be read, or is one of MMDetection
            2.x.
    """
    try:
        cfg = _load(name)
    except FileNotFoundError as error:
        if _is_there(name):  # It inherits from a config that is not.
            raise
        raise FileNotFoundError(
            f'there is no config {name}{_suggest(name)}'
        ) from error
    # The config of somebody else may raise anything.
    except Exception as error:
        if path := _find_by_path(name):
            sign = '+' if '+' in name else '.'
            raise DetectorError(
                f'{name} cannot be read by this name, since MMEngine reads '
                f'none with a `{sign}` in the name of its folder: take the '
                f'path of the file, {path}'
            ) from error
        cause: BaseException = error
        # Without this, the message would list all places where MMEngine looked
        # for the package.
        while isinstance(cause.__context__, ImportError):
            cause = cause.__context__
        raise DetectorError(
            f'{name} cannot be read: {type(cause).__name__}: {cause}'
        ) from error
    check_version(name, cfg)
    return cfg


def _find_by_path(name: str) -> Path | None:
    """Return the file of a config in a folder with signs; None for others."""
    package, _, inside = name.partition('::')
    if package != 'mmdet' or not {'+', '.'} & set(inside.partition('/')[0]):
        return None
    file = Path(mmdet.__file__).parent / '.mim' / 'configs' / inside
    return file if file.is_file() else None


def _load(name: str) -> Config:
    if is_lazy(name):
        content = Config.fromfile(name).to_dict()
        # Without a scope, MMEngine would not find MMDetection's parts by name.
        if content.get('default_scope') is None:
            content['default_scope'] = 'mmdet'
        return Config(content)
    # MMEngine knows `mmdet::` only as a `_base_`.
    # MMEngine writes the text below to a temporary folder, where a relative
    # path would begin.
    base = name if '::' in name else str(Path(name).resolve())
    return Config.fromstring(f'_base_ = {base!r}', file_format='.py')


def is_lazy(name: str) -> bool:
    """Return whether a config is written with `read_base()`, or imports types.

    Other configs cannot inherit from such a config.

    Args:
        name: The path of the config, or `mmdet::family/name.py`.

    Returns:
        Whether it is such a config; False for names with `::`, for files of
        another kind than `.py`, and for paths without a file.

    Raises:
        SyntaxError: If the file is no Python.
        UnicodeDecodeError: If the file is not in UTF-8.
        ConfigParsingError: If it has a `with` of something else than
            `read_base()`.
    """
    file = Path(name)
    is_own = '::' not in name and file.suffix == '.py' and file.is_file()
    # MMEngine has no public function for it.
    return is_own and Config._is_lazy_import(name)


def _is_there(name: str) -> bool:
    if '::' in name:
        return name in list_shipped().values()
    return Path(name).is_file()


def list_shipped() -> dict[str, str]:
    """List the configs that MMDetection ships.

    Returns:
        File name without suffix -> name, such as `mmdet::family/name.py`, in
        the order of the paths. Of two files with the same name, the last is
        there. It is empty if MMDetection is installed without its configs.
    """
    root = Path(mmdet.__file__).parent / '.mim' / 'configs'
    return {
        file.stem: f'mmdet::{file.relative_to(root).as_posix()}'
        for file in sorted(root.glob('*/*.py'))
    }


def list_near_files(name: str) -> list[str]:
    """Find configs in `configs/` and beside a path that have a similar path.

    Args:
        name: The path, at which there is no config. It and `configs/` start at
            the current folder.

    Returns:
        At most three paths, the most similar first; empty if none is similar.
    """
    files = {*Path('configs').glob('**/*.py'), *Path(name).parent.glob('*.py')}
    known = sorted(map(str, files))
    # Paths share folders and the names of stages: with the default of 0.6,
    # some twenty of ours are close to `configs/digit/teacher.py`.
    return difflib.get_close_matches(name, known, n=3, cutoff=0.8)


def _suggest(name: str) -> str:
    """Return how to name the configs with a similar name."""
    package, _, path = name.rpartition('::')
    if package not in ('', 'mmdet'):
        return ''
    if not package and (files := list_near_files(name)):
        return f': do you mean {" or ".join(files)}?'
    known = list_shipped()
    stem = Path(path).name.removesuffix('.py')
    near = difflib.get_close_matches(stem, known, n=3)
    if stem in known:
        near = [stem]
    if not near:
        return (
            ': give a path, or the name mmdet::family/name.py of one of '
            "MMDetection's own configs"
        )
    return f': do you mean {" or ".join(known[one] for one in near)}?'


def check_version(name: str, cfg: Mapping) -> None:
    """Check that a config is not one of MMDetection 2.x.

    Such a config has one of `OLD_SETTINGS`, and no `train_dataloader`.

    Args:
        name: The name of the config.
        cfg: The content of the config.

    Raises:
        DetectorError: If it is one.
    """
    old = [key for key in OLD_SETTINGS if key in cfg]
    if old and 'train_dataloader' not in cfg:
        raise DetectorError(
            f'{name} is a config of MMDetection 2.x: it sets {old}, and no '
            f'`train_dataloader`. Convert it to 3.x ({MIGRATION}), or let it '
            'inherit from the config of the same name that MMDetection 3.x '
            'ships'
        )


def get_type(config: Mapping) -> str:
    """Return the name of a config's type, without a scope such as `mmdet.`.

    Args:
        config: The config, whose `type` is a name or a class.

    Returns:
        The name.

    Raises:
        KeyError: If it has no `type`.
    """
    kind = config['type']
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def list_mappings(value: object) -> Iterator[Mapping]:
    """List every mapping in a part of a config, at any depth.

    Args:
        value: The part.

    Yields:
        The mappings in the order of the config, the outer before the inner;
        none for a part that is no mapping, list or tuple.
    """
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from list_mappings(one)


def holds_key(value: object, key: str) -> bool:
    """Return whether a config has a key, at any depth, also inside lists.

    Args:
        value: The config, or a value in it, of any type.
        key: The key.

    Returns:
        Whether it is there; False for what is neither dict, list nor tuple.
    """
    if isinstance(value, Mapping):
        return key in value or any(holds_key(v, key) for v in value.values())
    if isinstance(value, list | tuple):
        return any(holds_key(v, key) for v in value)
    return False
