"""What a user says about teachers that are given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...base_configs.config_reading import DetectorError
from ...label_files.coco.reading import read_coco
from ...multi_view.inference.class_maps import ClassNames
from .teacher import GivenTeacher, read_teacher


@dataclass(frozen=True)
class TeacherOptions:
    """The options of a user for teachers that are given.

    Args:
        teacher: The checkpoints; empty if a teacher is to be trained.
        teacher_config: Their configs: one for each, or one for all; empty for
            those in the checkpoints.
        classes_from: Files that name their classes, in order: one for each,
            or one for all; empty for the names in the checkpoints.
        class_map: Texts `NAME_OF_TEACHER=NAME_IN_LABELED_FILE`.
        prompt: Texts `CLASS=TEXT` for teachers that read texts.

    Raises:
        ValueError: If the options do not fit together.
    """

    teacher: Sequence[Path] = ()
    teacher_config: Sequence[str] = ()
    classes_from: Sequence[Path] = ()
    class_map: Sequence[str] = ()
    prompt: Sequence[str] = ()

    def __post_init__(self) -> None:
        others = ('teacher_config', 'classes_from', 'class_map', 'prompt')
        given = [name for name in others if getattr(self, name)]
        if given and not self.teacher:
            flag = given[0].replace('_', '-')
            raise ValueError(f'--{flag} goes only with --teacher')
        for name in ('teacher_config', 'classes_from'):
            values = getattr(self, name)
            if len(values) not in (0, 1, len(self.teacher)):
                flag = name.replace('_', '-')
                raise ValueError(
                    f'--{flag} takes one file for each of the '
                    f'{len(self.teacher)} teachers, or one for all, got '
                    f'{len(values)}'
                )

    def read(self) -> list[GivenTeacher]:
        """Read the teachers.

        Returns:
            The teachers, in the order in which they are given; empty if there
            are none.

        Raises:
            FileNotFoundError: If a file does not exist.
            CheckpointError: If a checkpoint cannot be used.
            DetectorError: If a config cannot be used, or no teacher is of the
                kind that an option about classes is for.
            ValueError: If a teacher is a URL, a list of names is broken, or a
                class map has another form.
            CocoError: If a COCO file with names cannot be used.
        """
        number = len(self.teacher)
        configs = spread_values(self.teacher_config, number)
        files = spread_values(self.classes_from, number)
        teachers = [
            read_teacher(checkpoint, config, file and read_names(file))
            for checkpoint, config, file in zip(
                self.teacher, configs, files, strict=True
            )
        ]
        if teachers:
            self._check_kinds(teachers)
        by_name = [one for one in teachers if not one.reads_texts]
        renamed = rename_classes(by_name, parse_class_map(self.class_map))
        # `renamed` yields the teachers that read no texts, in this order.
        return [
            replace(one, names=ClassNames(), prompt=self.prompt)
            if one.reads_texts
            else next(renamed)
            for one in teachers
        ]

    def _check_kinds(self, teachers: Sequence[GivenTeacher]) -> None:
        """Check that there is a teacher for each option about classes."""
        first = teachers[0]
        kind = f'{first.checkpoint}, a {first.cfg.model.type}'
        if self.prompt and not any(one.reads_texts for one in teachers):
            raise DetectorError(
                '--prompt is for a teacher that finds what texts say, such as '
                f'Grounding DINO or GLIP, got {kind}: for its names of '
                'classes there is --class-map'
            )
        named = self.class_map or self.classes_from
        if named and all(one.reads_texts for one in teachers):
            raise DetectorError(
                '--class-map and --classes-from are for a teacher with '
                f'classes of its own, got {kind}, which finds what texts '
                'say: use '
                '--prompt CLASS=TEXT'
            )


def spread_values(values: Sequence, number: int) -> list:
    """Give each teacher one value, or None where there are none.

    Args:
        values: One value for each teacher, one for all, or none.
        number: The number of teachers.

    Returns:
        A new list of `number` items.
    """
    if len(values) == number:
        return list(values)
    return [values[0] if values else None] * number


def rename_classes(
    teachers: Sequence[GivenTeacher], class_map: Mapping[str, str]
) -> Iterator[GivenTeacher]:
    """Give teachers those names of a class map that they know.

    The last teacher also gets the names that nobody knows, so that
    `ClassNames.map` refuses them.

    Args:
        teachers: The teachers, none of which reads texts. They are not
            changed.
        class_map: The name in a checkpoint -> the name in the labeled file.

    Yields:
        A copy of each teacher with its names, in order.
    """
    left = dict(class_map)
    for number, teacher in enumerate(teachers, 1):
        known = teacher.classes or []
        own = {a: b for a, b in class_map.items() if a in known}
        left = {a: b for a, b in left.items() if a not in own}
        # The message about names that nobody knows has those of the last one.
        if number == len(teachers):
            own |= left
        names = ClassNames(teacher.names.classes, own or None)
        yield replace(teacher, names=names)


def parse_class_map(texts: Sequence[str]) -> dict[str, str]:
    """Parse texts `NAME_OF_TEACHER=NAME_IN_LABELED_FILE`.

    Args:
        texts: What the user has written.

    Returns:
        The name in a checkpoint -> the name in the labeled file.

    Raises:
        ValueError: If a text has another form, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, wanted = text.partition('=')
        if not (name and sign and wanted) or name in found:
            raise ValueError(
                '--class-map takes NAME_OF_TEACHER=NAME_IN_LABELED_FILE, and '
                f'each name of the teacher once, got {list(texts)}'
            )
        found[name] = wanted
    return found


def read_names(file: Path) -> list[str]:
    """Read the names of classes from a COCO file or a list (`.txt`).

    Args:
        file: The file. A list has one name on each line; spaces around it and
            empty lines do not count.

    Returns:
        The names, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the COCO file cannot be used.
        ValueError: If the list has no names, or a name twice, or is not in
            UTF-8.
    """
    if file.suffix.lower() != '.txt':
        content = read_coco(file, 'categories')
        return [category['name'] for category in content['categories']]
    lines = file.read_text(encoding='utf-8-sig').splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f'{file} must have the name of a class on each line, each once, '
            f'got {len(names)} lines with {len(set(names))} names'
        )
    return names
