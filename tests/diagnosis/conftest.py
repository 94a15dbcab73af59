from __future__ import annotations

import pytest

from tests.diagnosis.small_cohort import cohort


@pytest.fixture
def table():
    return cohort()
