"""Says what to do about what has failed in a rehearsal."""

from .trial import RehearsalResult

# What an error says -> what to do. The first that fits counts; all is in
# lower case.
REMEDIES = {
    ('out of memory', 'outofmemory', 'not enough memory'): (
        'It needs more memory than there is. Lower the batch size '
        '(--cfg-options train_dataloader.batch_size=1) or the size of the '
        'images'
    ),
    ('urlerror', 'httperror', 'urlopen', 'connectionerror', 'timeouterror'): (
        'Weights cannot be downloaded here. Put the file into '
        '~/.cache/torch/hub/checkpoints, or train without it '
        '(init_experiment --from-scratch)'
    ),
    ('no space left', 'disk quota', 'errno 28', 'errno 122'): (
        'The folder for temporary files is full; TMPDIR names another'
    ),
    ('num_classes', 'class values must', 'out of bounds', 'out of range'): (
        'Check num_classes of the heads against the categories of the '
        'labeled file'
    ),
    ('mask', 'segmentation', 'segm is not in'): (
        'It wants masks that its labels lack: with a detector of masks, '
        'annotate.py needs model.masks=dict() (docs/annotation.md); without '
        'masks, its pipeline needs with_mask=False'
    ),
    ('channels', 'size of tensor', 'if the mean has', 'non-singleton'): (
        'Look at how its pipelines load images (color_type), and at mean and '
        'std of the data preprocessor: they must have as many channels as '
        'the model'
    ),
    ('checkpointerror', 'load_from'): (
        'Name another file in load_from or init_cfg, or leave it out'
    ),
    ('process group', 'syncbatchnorm'): (
        'Layers of its model need several processes on GPUs (MMSyncBN, '
        'SyncBN): write BN in its norm_cfg'
    ),
    ('diverged',): '',
    ('keyerror', 'nonetype', 'has no attribute'): (
        'If a transform needs it, add the transform that makes it; if a hook '
        'or an evaluator does, let it watch what is measured, such as '
        'coco/bbox_mAP'
    ),
}


def find_remedy(result: RehearsalResult) -> str:
    """Find what to do about an error.

    Args:
        result: What has failed.

    Returns:
        A sentence without a full stop, the first of `REMEDIES` that fits;
        empty if no remedy is known.
    """
    text = f'{result.error}: {result.text}'.lower()
    for signs, remedy in REMEDIES.items():
        if any(sign in text for sign in signs):
            return remedy
    return ''


def describe_failure(result: RehearsalResult, config: str) -> str:
    """Say in which stage a rehearsal has failed, why, and what to do.

    Args:
        result: What has failed.
        config: The path of the config of the stage.

    Returns:
        Sentences for the user.
    """
    place = f' ({result.place})' if result.place else ''
    remedy = find_remedy(result)
    return (
        f'{result.stage} would fail {result.doing}: {result.error}: '
        f'{shorten_text(result.text)}{place}. '
        f'{f"{remedy}. " if remedy else ""}'
        f'What it does is in {config} and in the options. It was tried on '
        'one batch, and nothing has changed. --no-rehearsal goes on all the '
        'same'
    )


def shorten_text(text: str, max_length: int = 600) -> str:
    """Cut a text, and write it on one line.

    Args:
        text: The text.
        max_length: The number of letters to keep.

    Returns:
        The text without dots at its end. If it is longer than `max_length`, it
        is its beginning, followed by ` ...`.
    """
    text = ' '.join(text.split()).rstrip('.')
    return text if len(text) <= max_length else f'{text[:max_length]} ...'


# What operators say that are there for GPUs only.
NEEDS_GPU = (
    'not implemented on cpu',
    'implementation for device cpu not found',
    'not compiled with gpu',
    'not compiled with cuda',
    'no nvidia driver',
    'cuda is not available',
    "for 'cpu'",
)
NEEDS_NETWORK = ('urlerror', 'httperror', 'urlopen', 'connectionerror')


def find_excuse(result: RehearsalResult, has_gpu: bool) -> str:
    """Find out why a failure may be one of this machine.

    Args:
        result: What has failed.
        has_gpu: Whether this machine has a GPU.

    Returns:
        The reason; empty if it is not one of this machine.
    """
    text = f'{result.error}: {result.text}'.lower()
    if result.error == 'TimeUpError':
        return f'it takes too long ({result.stage} is next)'
    if not has_gpu and any(sign in text for sign in NEEDS_GPU):
        return f'{result.stage} needs a GPU ({shorten_text(result.text, 80)})'
    if any(sign in text for sign in NEEDS_NETWORK):
        return (
            f'{result.stage} begins with weights that cannot be downloaded '
            f'({shorten_text(result.text, 80)})'
        )
    return ''
