"""The benchmark of one of many jobs, on a few images."""

import pytest

from projects.data_distillation.benchmarks.scale import (
    format_jobs,
    measure_job,
)


def test_each_step_of_a_job_is_measured(tmp_path):
    report = measure_job(tmp_path, num_images=250, num_jobs=4)

    assert list(report['seconds']) == [
        'look for its own images',
        'open the shards',
        'list what is done',
        'share out the rest',
        'count at the end',
    ]
    assert all(min(times) >= 0 for times in report['seconds'].values())
    # In shards of 100 images.
    assert (report['images'], report['files']) == (250, 3)
    files = (tmp_path / 'detections').rglob('*.parquet')
    assert report['bytes'] == sum(file.stat().st_size for file in files)
    text = format_jobs([report, dict(report, images=1_000)])
    assert '1,000 images' in text
    assert all(step in text for step in report['seconds'])
    with pytest.raises(FileExistsError, match='File exists'):
        measure_job(tmp_path, num_images=250, num_jobs=4)
