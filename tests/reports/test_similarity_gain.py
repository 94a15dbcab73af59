"""Query similarity against gain: means by hand, r against NumPy's own, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from la_medical.errors import InputError
from la_medical.reports.similarity_gain import similarity_and_gain

COSINE = np.array([[1, 0.1, 0.2, 0.3], [0.1, 1, 0.4, 0.5], [0.2, 0.4, 1, 0.6], [0.3, 0.5, 0.6, 1]])
MATRIX = pd.DataFrame(COSINE, index=list("abcd"), columns=list("abcd"))


def test_points_and_correlation(tmp_path):
    path = tmp_path / "gains.csv"
    path.write_text("class,gain\nd,0.04\na,0.01\nb,0.03\nc,0.01\n")
    drawing = similarity_and_gain(MATRIX, path)
    means = [0.6 / 3, 1.0 / 3, 1.2 / 3, 1.4 / 3]
    np.testing.assert_allclose(drawing.data["similarity"], means)
    assert drawing.data["gain"].tolist() == [0.01, 0.03, 0.01, 0.04]
    r = np.corrcoef(means, [0.01, 0.03, 0.01, 0.04])[0, 1]
    width = 1.959964 / np.sqrt(4 - 3)
    low, high = np.tanh(np.arctanh(r) - width), np.tanh(np.arctanh(r) + width)
    assert f"r = {r:.2f}" in drawing.caption
    assert f"95% CI {low:.2f} to {high:.2f}" in drawing.caption


@pytest.mark.parametrize("text", ["x,y\n1,2\n", "class,gain\na,1\nb,2\n", "class,gain\na,1\nb,2\nc,\n"])
def test_other_tables_are_refused(tmp_path, text):
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(InputError, match=r"g\.csv"):
        similarity_and_gain(MATRIX, tmp_path / "g.csv")
