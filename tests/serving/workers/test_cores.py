"""The number of workers for a container's processor quota."""

import os
from pathlib import Path

import pytest
from cuvee.serving.workers.cores import available_cores

MINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({}, MINE),
        ({"cpu.max": "max 100000\n"}, MINE),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "190000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, MINE),
        ({"cpu.max": "nonsense"}, MINE),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, MINE),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_the_quota_of_a_control_group_bounds_the_cores(tmp_path: Path, files: dict[str, str], granted: int):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == granted


def test_affinity_bounds_them_too():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores(Path("/nowhere")) == 1
    finally:
        os.sched_setaffinity(0, before)
