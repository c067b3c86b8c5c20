"""What a run may be gone on with: a config of before too, where it means the same."""

import json

import pytest

from animatrix_jax.cli.schema import base_config
from animatrix_jax.errors import UserError
from animatrix_jax.training.same_run import check_same_run
from configs import caption


@pytest.fixture
def now():
    """A whole config, as a run saves it."""
    return json.loads(base_config("pico", "ct", stages={"ct": {}}).to_json())


def test_a_run_goes_on_that_saved_fields_which_are_gone(now, tmp_path):
    """The loop had the run's seed and profile among its own fields."""
    assert not {"seed", "profile"} & now["loop"].keys()
    before = now | {"loop": now["loop"] | {"seed": 0, "profile": False}}
    check_same_run(before, now, folder=tmp_path)
    check_same_run(before, now | {"profile": True}, folder=tmp_path)


def test_a_run_without_the_later_fields_sections_is_the_same_run(tmp_path):
    """AniCaption's config has no candidates, no judge and no preference."""
    own = json.loads(caption.get_config("stage=caption_experts").to_json())
    check_same_run(own, own, folder=tmp_path)


def test_a_run_of_before_the_order_of_tags_was_noted_is_the_same_run(now, tmp_path):
    before = json.loads(json.dumps(now))
    noted = before["model"]["tags"].pop("taxonomy")
    check_same_run(before, now, folder=tmp_path)
    before["model"]["tags"]["taxonomy"] = "0" * 16
    with pytest.raises(UserError, match=f"taxonomy was '0+', now '{noted}'"):
        check_same_run(before, now, folder=tmp_path)


def test_latents_made_since_are_not_read_without_a_word(now, tmp_path):
    """`data.cached` reads them where they are there, and videos where they are not."""
    before, after = now | {"reads": ["video"]}, now | {"reads": ["latents"]}
    with pytest.raises(UserError, match="'video'.*'latents'.*data.cached=False reads"):
        check_same_run(before, after, folder=tmp_path)
    videos = before | {"data": now["data"] | {"cached": False}}
    check_same_run(before, videos, folder=tmp_path)
    check_same_run(now, after, folder=tmp_path)
    for begun in (now, after):
        with pytest.raises(UserError, match="data.cached was True, now False"):
            check_same_run(begun, videos, folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 4}, "seed was 0, now 4"),
        ({"digests": {"vae": "1f"}}, "digests.vae was None, now '1f'"),
        ({"stage": "sft"}, "stage was 'ct', now 'sft'"),
    ],
)
def test_another_is_refused_in_a_line_that_names_what_changed(
    now, tmp_path, change, said
):
    with pytest.raises(UserError, match=said):
        check_same_run(now, now | change, folder=tmp_path)
