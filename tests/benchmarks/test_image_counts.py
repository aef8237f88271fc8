"""The numbers of images that benchmarks measure with."""

import pytest

from projects.data_distillation.benchmarks.image_counts import (
    add_image_counts,
    measure_each,
)
from projects.data_distillation.command_line import make_parser


def test_benchmark_measures_with_several_numbers_of_images():
    parser = make_parser('Measure.')
    add_image_counts(parser, default=20_000)

    assert parser.parse_args([]).images == [20_000]
    assert parser.parse_args(['--images', '10', '30']).images == [10, 30]
    assert '(default: 20,000)' in parser.format_help()


def test_each_number_of_images_is_measured_in_a_folder_of_its_own():
    def measure(folder, num_images):
        assert list(folder.iterdir()) == []
        (folder / 'shard').touch()
        return folder, num_images

    (one, first), (other, second) = measure_each(measure, [10, 30])

    assert (first, second) == (10, 30)
    assert not one.exists()
    assert not other.exists()


def test_no_images_are_refused_before_anything_is_measured():
    measured = []

    with pytest.raises(
        ValueError, match='--images must be an integer of at least 1, got 0'
    ):
        list(measure_each(lambda *given: measured.append(given), [10, 0]))
    assert measured == []
