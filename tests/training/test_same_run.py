"""What a run may be gone on with: a config of before too, where it means the same."""

import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.training.same_run import check_same_run

# As a run saved it that was begun when these were fields of the loop, and at its end.
BEFORE = {
    "stage": "ct",
    "seed": 3,
    "profile": False,
    "batch": {"size": 8},
    "loop": {"steps": 100, "seed": 0, "profile": False},
    "digests": {"vae": "1f"},
}
NOW = BEFORE | {"loop": {"steps": 100}, "batch": {"size": 8, "multiple": 1}}


def test_a_run_goes_on_that_saved_fields_which_are_gone(tmp_path):
    check_same_run(BEFORE, NOW, folder=tmp_path)
    check_same_run(NOW, NOW | {"profile": True}, folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 4}, "seed was 3, now 4"),
        ({"digests": {}}, "digests.vae was '1f', now None"),
        ({"batch": {"size": 9}}, "batch.size was 8, now 9"),
    ],
)
def test_another_is_refused_in_a_line_that_names_what_changed(tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        check_same_run(BEFORE, NOW | change, folder=tmp_path)
