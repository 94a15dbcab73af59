from __future__ import annotations

import pytest
from small_cohort import cohort


@pytest.fixture
def table():
    return cohort()
