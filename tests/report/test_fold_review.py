"""The reviews of several folds become one."""

import json

import numpy as np
import pytest
from builders import DrawnImages, store_truth

from projects.data_distillation.report.fold_review import join_reviews
from projects.data_distillation.report.suspicious_labels import (
    LabelReview,
    review_labels,
)


@pytest.fixture
def reviews(drawn: DrawnImages) -> list[LabelReview]:
    """Of two and of three images; the class of a label of each is wrong."""
    detections = store_truth(drawn)
    found = []
    for name, chosen in (('one', slice(0, 2)), ('other', slice(2, 5))):
        images = drawn.truth['images'][chosen]
        ids = {image['id'] for image in images}
        annotations = [
            one for one in drawn.truth['annotations'] if one['image_id'] in ids
        ]
        own = annotations[-1]['category_id']
        ids_of_classes = [one['id'] for one in drawn.truth['categories']]
        other = next(id for id in ids_of_classes if id != own)
        annotations[-1] = dict(annotations[-1], category_id=other)
        coco = dict(drawn.truth, images=images, annotations=annotations)
        labels = drawn.write(f'{name}.json', json.loads(json.dumps(coco)))
        found.append(review_labels(detections, labels))
    return found


def test_each_suspicion_keeps_its_image_label_and_detection(reviews):
    joined = join_reviews(reviews)

    for review in reviews:
        for one in review.suspicions:
            lines = review.make_list([one]).splitlines()[1]
            # All but the place and the chance.
            kept = lines.split(',', 1)[1]
            found = [
                line.split(',', 1)[1]
                for line in joined.make_list(joined.suspicions).splitlines()
            ]
            assert kept in found
            assert review.explain(one) in map(
                joined.explain, joined.suspicions
            )
    assert len(joined.suspicions) == sum(len(r.suspicions) for r in reviews)


def test_suspicions_of_all_folds_are_ranked_together(reviews):
    joined = join_reviews(reviews)

    chances = [one.chance for one in joined.suspicions]
    assert chances == sorted(chances, reverse=True)
    assert {one.image for one in joined.suspicions[:2]} == {1, 4}
    assert [one.kind for one in joined.suspicions[:2]] == ['class', 'class']


def test_images_and_labels_of_all_folds_can_be_written(reviews, tmp_path):
    joined = join_reviews(reviews)

    files = joined.write(tmp_path, count=99)

    assert [file.exists() for file in files] == [True] * 3
    assert len(joined.coco['images']) == len(joined.rows) == 5
    assert np.all(np.diff(joined.detections.image_index) >= 0)
    assert joined.detections.image_index.max() == 4
    assert joined.detections.image_index.dtype == np.int32
