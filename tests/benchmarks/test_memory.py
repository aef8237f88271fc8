"""The peak of a process can be read, and measured again."""

import numpy as np
import pytest
import torch

from projects.data_distillation.benchmarks.memory import (
    read_peak_memory_mib,
    read_process_peak_mib,
    reset_peak_memory,
)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='measures the GPU then')
def test_peak_is_that_since_the_last_reset():
    large = np.ones(300 * 2**20, np.uint8)
    peak = read_process_peak_mib()
    assert peak > 300
    del large
    # The kernel counts memory a little inexactly.
    assert read_peak_memory_mib() == pytest.approx(peak, abs=10)

    reset_peak_memory()

    assert 0 < read_peak_memory_mib() < peak - 200
