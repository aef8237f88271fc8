"""Says in words what a teacher looks for, if it reads texts."""

from collections.abc import Mapping, Sequence

from mmdet.models import BaseDetector
from mmdet.models.detectors.glip import clean_label_name

from ...base_configs.config_reading import DetectorError

# The detectors end a text at these characters.
ENDS = '.?'
# What a packed image needs so that the detector gets its texts.
TEXT_KEYS = ('text', 'custom_entities', 'caption_prompt')


def choose_texts(
    classes: Sequence[str], prompts: Sequence[str]
) -> dict[str, str]:
    """Choose the text of each class: its name, if the user says no other.

    Args:
        classes: The names of the categories of the labeled file, in order.
        prompts: What the user says: texts `CLASS=TEXT`.

    Returns:
        Name of the class -> text without spaces around it, in the order of the
        classes.

    Raises:
        ValueError: If a prompt has another form, names no class, or names a
            class again; or if a detector would cut a text, or take two
            classes for one.
    """
    given: dict[str, str] = {}
    for prompt in prompts:
        name, sign, text = split_prompt(prompt, classes)
        if not sign or name not in classes or name in given:
            raise ValueError(
                '--prompt takes CLASS=TEXT, for each class of the labeled '
                f'file ({", ".join(classes)}) at most once, got {prompt!r}'
            )
        given[name] = text
    texts = {
        name: given.get(name, clean_label_name(name)).strip()
        for name in classes
    }
    for name, text in texts.items():
        check_text(name, text)
    check_differ(texts)
    # The detector finds the text of a class by this name, see below.
    check_differ({name: clean_label_name(name) for name in classes})
    return texts


def split_prompt(prompt: str, classes: Sequence[str]) -> tuple[str, str, str]:
    """Split a prompt at the equals sign after the name of a class.

    Args:
        prompt: A text `CLASS=TEXT`. Both may have equals signs.
        classes: The names of the classes.

    Returns:
        The name, the equals sign (empty if there is none), and the text. Of
        several names that fit, the longest is taken. If none fits, the first
        equals sign divides.
    """
    for name in sorted(classes, key=len, reverse=True):
        if prompt.startswith(f'{name}='):
            return name, '=', prompt[len(name) + 1 :]
    return prompt.partition('=')


def check_text(name: str, text: str) -> None:
    """Check that a detector reads a text as a whole.

    Args:
        name: The name of the class.
        text: Its text.

    Raises:
        ValueError: If it is empty, or has one of `ENDS`.
    """
    if not text or any(end in text for end in ENDS):
        raise ValueError(
            f'the text of the class {name!r} must not be empty, and must not '
            f'have one of {list(ENDS)}, where the detector would cut it, got '
            f'{text!r}: give it another text (--prompt {name!r}=TEXT)'
        )


def check_differ(texts: Mapping[str, str]) -> None:
    """Check that no two classes are one for the detector.

    Args:
        texts: Name of the class -> what the detector reads.

    Raises:
        ValueError: If two are equal but for upper and lower case, and spaces
            around them.
    """
    seen: dict[str, str] = {}
    for name, text in texts.items():
        other = seen.setdefault(text.lower().strip(), name)
        if other != name:
            raise ValueError(
                f'the classes {other!r} and {name!r} are one for the teacher, '
                f'which reads {text!r} for both (it leaves out what is in '
                'brackets): give them other names, or other texts with '
                '--prompt CLASS=TEXT'
            )


def as_caption_prompt(texts: Mapping[str, str]) -> dict[str, dict]:
    """Write texts as the `caption_prompt` of MMDetection's datasets.

    Args:
        texts: Name of the class -> text.

    Returns:
        Name of the class, as MMDetection's detectors look for it -> a dict
        with the text as `name`.
    """
    return {
        clean_label_name(name): dict(name=text) for name, text in texts.items()
    }


def check_reads(detector: BaseDetector, texts: Mapping[str, str]) -> None:
    """Check that a detector reads all texts, in the way they are given.

    Args:
        detector: A detector with a `language_model`.
        texts: Name of the class -> text.

    Raises:
        DetectorError: If it reads them in parts, or not to the end, or knows
            no word of one.
    """
    if (detector.test_cfg or {}).get('chunked_size', -1) > 0:
        raise DetectorError(
            '`test_cfg.chunked_size` of the teacher must be left out: with '
            'it, a detector takes one image at a time, but several views run '
            f'together. Got {detector.test_cfg["chunked_size"]}'
        )
    tokenizer = detector.language_model.tokenizer
    for name, text in texts.items():
        tokens = tokenizer(text, add_special_tokens=False)['input_ids']
        if not set(tokens) - {tokenizer.unk_token_id}:
            raise DetectorError(
                'the language model of the teacher knows no word of '
                f'{text!r}: give the class another text '
                f'(--prompt {name!r}=TEXT)'
            )
    # The separators between the texts are tokens too.
    caption, _ = detector.to_plain_text_prompts(list(texts.values()))
    number = len(tokenizer(caption)['input_ids'])
    limit = detector.language_model.max_tokens
    if number > limit:
        raise DetectorError(
            f'the texts of all {len(texts)} classes have {number} tokens, and '
            f'the language model of the teacher reads the first {limit}: the '
            'last classes would not be found. Give shorter texts (--prompt '
            'CLASS=TEXT), or label with fewer classes'
        )
