"""How many clips a held-out batch has: what is asked for, as far as it divides."""

import pytest
from tiny_model import stage_config

from animatrix_jax.training.stages import clips as clips_module
from animatrix_jax.training.stages.batch_shapes import held_out_size
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers


@pytest.mark.parametrize(
    ("size", "wanted", "multiples", "expected"),
    [
        (64, 128, (1, 1), 64),
        (64, 20, (1, 8), 16),
        (64, 8, (16, 8), 16),
        (64, 5, (8, 1), 8),
        (24, 128, (6, 4), 24),
    ],
)
def test_it_divides_and_is_never_empty(size, wanted, multiples, expected):
    assert held_out_size(size, wanted, multiples_of=multiples) == expected


@pytest.mark.parametrize(
    ("group", "hosts", "held_out"), [(2, 8, 8), (1, 1, 20), (1, 4, 3)]
)
def test_hosts_share_a_batch_that_divides_over_a_mesh(
    group, hosts, held_out, tmp_path, monkeypatch
):
    """A mesh whose batch axes have eight devices, under any number of hosts."""
    monkeypatch.setattr(clips_module, "batch_parts", lambda: 8)
    share = lambda: (hosts - 1, hosts)
    monkeypatch.setattr(clips_module.distributed, "batch_share", share)
    data = {"clips": 4, "held_out": held_out, "workers": 0, "cached": False}
    config = stage_config(tmp_path, "vae", init={}, data=data, batch={"size": 64})
    clips = Clips(
        config,
        workdir=tmp_path,
        towers=Towers(config, workdir=tmp_path),
        fields=("tags",),
        group=group,
    )
    sizes = [len(batch["clip_id"]) * hosts for batch in clips.held_out()]
    assert sizes == [16] if group == 2 or held_out == 20 else sizes == [8]
