"""The transforms that several datasets share, by name."""

load = dict(type='LoadImageFromFile')
load_labels = dict(type='LoadAnnotations', with_bbox=True)
pack = dict(type='PackDetInputs')
# Test images are not flipped.
pack_for_test = dict(
    type='PackDetInputs',
    meta_keys=(
        'img_id',
        'img_path',
        'ori_shape',
        'img_shape',
        'scale_factor',
    ),
)
# The views resize an unlabeled image, so it is loaded as it is.
pack_unlabeled = dict(
    type='PackDetInputs',
    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'),
)
# For Soft Teacher, which brings boxes from one version of an image to another.
moves = ('flip', 'flip_direction', 'homography_matrix')
pack_with_homography = dict(
    pack_for_test, meta_keys=(*pack_for_test['meta_keys'], *moves)
)
