"""Fits the options of a command line to the config of each stage."""

import argparse
import inspect
from collections.abc import Iterator, Mapping, Sequence

from mmdet.registry import MODELS
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from ...multi_view.inference.tta import MultiViewTTA

# What `model.KEY` names in stages that annotate. The data preprocessor is an
# argument of the detector too, and there it belongs.
WRAPPER_ARGUMENTS = set(inspect.signature(MultiViewTTA).parameters) - {
    'data_preprocessor'
}


def parse_options(options: Sequence[str]) -> dict:
    """Parse options as `--cfg-options` does.

    Args:
        options: The options, such as `model.bbox_head.num_classes=3`.

    Returns:
        Key with dots -> value; empty if there are none.

    Raises:
        ValueError: If an option is not `KEY=VALUE`.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    try:
        if any(option.startswith('-') for option in options):
            # argparse would take it for a flag, and end Python.
            raise ValueError('a key cannot begin with a hyphen')
        return parser.parse_args(['--options', *options]).options or {}
    except (AssertionError, ValueError) as error:
        raise ValueError(
            '--cfg-options takes KEY=VALUE, with brackets in pairs, got '
            f'{list(options)}: {error}'
        ) from None


def fit_options(options: Sequence[str], cfg: Config) -> list[str]:
    """Fit the options to a stage, with the keys of its config.

    In a stage that annotates, the detector is `model.module`, because `model`
    is the `MultiViewTTA` around it. So `model.KEY` becomes `model.module.KEY`
    there, unless it is an argument of `MultiViewTTA`; those reach no other
    stage. If a teacher is given, its stages get of `model.KEY` only these
    arguments and `model.module`, since the detector is another one. An option
    also leaves out the stages that lack what it changes: the part is None
    there, or a list without elements.

    Args:
        options: The options, as `--cfg-options` takes them.
        cfg: The config of the stage, without these options.

    Returns:
        The options that the stage gets, in order.
    """
    fitted = []
    for option in options:
        key, sign, value = option.partition('=')
        if own := fit_key(key, cfg):
            fitted.append(f'{own}{sign}{value}')
    return fitted


def change_config(cfg: Config, options: Sequence[str], where: str) -> None:
    """Change the config of a stage by the options that are for it.

    Args:
        cfg: The config. It is changed in place.
        options: The options, as `--cfg-options` takes them.
        where: The file of the config, for the error.

    Raises:
        ValueError: If an option is not `KEY=VALUE`, or the config lacks what
            it changes.
    """
    try:
        cfg.merge_from_dict(parse_options(fit_options(options, cfg)))
    # MMEngine raises these for a missing item of a list, and for a key below
    # what has no keys.
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'--cfg-options {" ".join(options)} do not fit {where}: '
            f'{type(error).__name__}: {error}'
        ) from error


def fit_key(key: str, cfg: Config) -> str | None:
    """Fit the key of an option to the config of a stage.

    Args:
        key: The key, with dots.
        cfg: The config of the stage.

    Returns:
        The key there; None if the stage does not get the option.
    """
    part, _, rest = key.partition('.')
    if not rest:
        return key
    name = rest.partition('.')[0]
    is_missing = part in cfg and cfg[part] is None
    if is_missing or (name.isdecimal() and not cfg.get(part)):
        return None
    # Stages that annotate have no evaluator.
    if part in cfg and cfg[part] == []:
        return None
    if part != 'model':
        return key
    if 'given_teachers' in cfg and 'module' in cfg.model:
        # The teacher is another detector than the student.
        is_for_teacher = name == 'module' or (
            name in WRAPPER_ARGUMENTS and cfg.model.type != 'GivenDetector'
        )
        return key if is_for_teacher else None
    return fit_model_key(rest, cfg.model)


def fit_model_key(key: str, model: Mapping) -> str | None:
    """Fit the key of an option of the model to a stage.

    Args:
        key: The key below `model`, with dots.
        model: The config of the model.

    Returns:
        The whole key, with `model`; None if it is for other stages.
    """
    name = key.partition('.')[0]
    if 'module' in model:
        is_own = name in WRAPPER_ARGUMENTS
        return f'model.{key}' if is_own else f'model.module.{key}'
    if name in WRAPPER_ARGUMENTS and name not in model:
        return None
    return f'model.{key}'


def check_options(
    options: Sequence[str], configs: Mapping[str, Config]
) -> Iterator[str]:
    """Check that every stage can use the options that are for it.

    Args:
        options: The options, as `--cfg-options` takes them.
        configs: The config of each stage, without these options. They get the
            options, so they are changed in place.

    Yields:
        A text about each option that does not reach all stages.

    Raises:
        ValueError: If an option reaches no stage, or a stage cannot use it.
    """
    for option in options:
        key = option.partition('=')[0]
        reached = [name for name, cfg in configs.items() if fit_key(key, cfg)]
        others = [name for name in configs if name not in reached]
        if not reached:
            raise ValueError(
                f'--cfg-options {option} reaches no stage: none of '
                f'{", ".join(others)} has what it changes'
            )
        if others:
            yield (
                f'option {option}: for {", ".join(reached)}; not for '
                f'{", ".join(others)}'
            )
    built: list[Mapping] = []
    for name, cfg in configs.items():
        change_config(cfg, options, f'{name}.py')
        try:
            is_changed = any(key.startswith('model.') for key in options)
            # Several stages have the same model, and each is built once.
            if is_changed and cfg.model not in built:
                built.append(cfg.model)
                init_default_scope(cfg.get('default_scope', 'mmdet'))
                MODELS.build(cfg.model)
        except Exception as error:
            raise ValueError(
                f'--cfg-options {" ".join(options)} do not fit {name}.py: '
                f'{type(error).__name__}: {error}'
            ) from error
