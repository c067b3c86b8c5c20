"""AniCaption as it ships, on worlds that it has never seen."""

import numpy as np
import pytest

from animatrix_jax.caption.anicaption import load_anicaption
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.knowledge.mentions import find_mentions
from animatrix_jax.knowledge.taxonomy import load_taxonomy


@pytest.fixture(scope="module")
def told():
    """Clips of the held-out worlds, and what is said of them."""
    size = {"height": 128, "width": 128, "frames": 33}
    world = CelWorld(seed=77, size=12, split="test", held_out=True, **size)
    labeller = load_anicaption("nano")
    clips = [world[n] for n in range(12)]
    return clips, [labeller.label(clip.video, 24.0) for clip in clips]


def test_most_of_what_it_claims_is_so(told):
    claims = [tag in clip.tags for clip, caption in zip(*told) for tag in caption.tags]
    # 0.83 of 384 clips by field (docs/caption.md); a tag of several may be right alone.
    assert len(claims) > 12 * 14 and np.mean(claims) > 0.75


def test_a_surer_reading_is_more_often_right(told):
    sure, unsure = [], []
    for clip, caption in zip(*told):
        for tag in caption.tags:
            field = tag.partition("=")[0]
            where = sure if caption.confidence[field] > 0.85 else unsure
            where.append(tag in clip.tags)
    assert np.mean(sure) > np.mean(unsure)


def test_its_prose_is_of_its_tags(told):
    """What it writes is what it claims, and nothing of a field that it does not."""
    taxonomy = load_taxonomy()
    agree = []
    for caption in told[1]:
        assert caption.summary.endswith(".") and caption.description.endswith(".")
        text = f"{caption.summary} {caption.description}"
        for mention in find_mentions(text, set(taxonomy.values_by_tag), taxonomy):
            agree.append(mention.tag in caption.tags)
    # 738 of 738 in docs/caption.md, of 128 clips.
    assert len(agree) > 30 and all(agree)
