"""Batches: what they hold, exact resumption, host splits, tasks, groups."""

import dataclasses

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest

from animatrix_jax.data.batches import draw_choice
from animatrix_jax.data.curriculum import CurriculumConfig
from animatrix_jax.data.pipeline import (
    Batcher,
    DataConfig,
    epoch_rows,
    held_out_rows,
    host_slots,
    make_batches,
)
from animatrix_jax.data.turns import batched, full_turns
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.counterfactual import DIRECTIVES
from animatrix_jax.knowledge.encoding import encode_tags

CONFIG = DataConfig(
    batch_size=8, steps=24, curriculum=CurriculumConfig(mode="curriculum")
)
ALL_FIELDS = ("media", "text", "tags", "given")


def _same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_a_batch_holds_what_was_asked_for(source, tokenizer):
    config = dataclasses.replace(CONFIG, fields=ALL_FIELDS, tasks=(("i2v", 1.0),))
    batch = Batcher(source, config, tokenizer=tokenizer)(3)
    shapes = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
    assert shapes == {
        "clip_id": ("int64", (8,)),
        "video": ("uint8", (8, 9, 8, 8, 3)),
        "given": ("bool", (8, 3)),
        "text_tokens": ("int32", (8, 48)),
        "text_mask": ("bool", (8, 48)),
        "tag_fields": ("int32", (8, 48)),
        "tag_values": ("int32", (8, 48)),
        "tag_mask": ("bool", (8, 48)),
    }
    shown = batch["video"][:, 0, 0, 0, 1].astype(np.int64)
    np.testing.assert_array_equal(shown + 1000, batch["clip_id"])


def test_clips_come_under_other_directives_too(source):
    config = dataclasses.replace(CONFIG, fields=("directives",), corruption=None)
    batch = Batcher(source, config)(3)
    shapes = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
    asked = (8, DIRECTIVES)
    assert shapes == {
        "clip_id": ("int64", (8,)),
        "tag_fields": ("int32", (*asked, 48)),
        "tag_values": ("int32", (*asked, 48)),
        "tag_mask": ("bool", (*asked, 48)),
        "scores": ("float32", (*asked, 4)),
        "weights": ("float32", asked),
    }
    own = Batcher(source, dataclasses.replace(config, fields=("tags",)))(3)
    np.testing.assert_array_equal(batch["tag_values"][:, 0], own["tag_values"])


def test_every_clip_comes_once_in_its_order(source):
    config = dataclasses.replace(CONFIG, fields=("tags",), group=2)
    ids = np.concatenate([b["clip_id"] for b in Batcher(source, config).once()])
    known = np.array([source.record(n, None)["clip_id"] for n in range(len(source))])
    whole = len(known) // 2 * 2
    np.testing.assert_array_equal(ids[:whole], known[:whole])
    assert len(ids) == -(-whole // 8) * 8 and (ids[::2] + 1 == ids[1::2]).all()


def test_only_video_for_the_vae(source):
    batch = Batcher(source, dataclasses.replace(CONFIG, fields=("media",)))(0)
    assert set(batch) == {"clip_id", "video"}


def test_text_alone_reads_no_pixels(source, tokenizer):
    config = dataclasses.replace(CONFIG, fields=("text",))
    batch = Batcher(source, config, tokenizer=tokenizer)(0)
    assert set(batch) == {"clip_id", "text_tokens", "text_mask"}
    assert source.reads == 0 or config.curriculum.mode == "curriculum"
    plain = dataclasses.replace(config, curriculum=CurriculumConfig())
    source.reads = 0
    Batcher(source, plain, tokenizer=tokenizer)(0)
    assert source.reads == 0


def test_without_corruption_all_tags_and_text_arrive(source, tokenizer):
    config = dataclasses.replace(CONFIG, corruption=None)
    batch = Batcher(source, config, tokenizer=tokenizer)(0)
    for row, clip_id in enumerate(batch["clip_id"]):
        record = source.narrative(int(clip_id) - 1000)
        expected = encode_tags(record["tags"], 48)
        np.testing.assert_array_equal(batch["tag_values"][row], expected.values)
        codes = batch["text_tokens"][row][batch["text_mask"][row]]
        text = f"{record['summary']} {record['description']}"
        assert "".join(map(chr, codes)) == text[:48]


def test_corruption_follows_its_rates(source, tokenizer):
    config = dataclasses.replace(CONFIG, batch_size=400, curriculum=CurriculumConfig())
    batch = Batcher(source, config, tokenizer=tokenizer)(0)
    text, tags = batch["text_mask"].any(1), batch["tag_mask"].any(1)
    # None 0.1, tags only 0.1, and both tags of a clip dropped now and then.
    assert 0.04 < np.mean(~text & ~tags) < 0.18
    assert 0.14 < np.mean(~text) < 0.27
    assert 0.14 < np.mean(~tags) < 0.30


@pytest.mark.parametrize("task", ["t2i", "t2v", "i2v"])
def test_the_task_decides_frames_and_given(source, tokenizer, task):
    config = dataclasses.replace(CONFIG, tasks=((task, 1.0),))
    batch = Batcher(source, config, tokenizer=tokenizer)(0)
    assert batch["video"].shape[1] == (1 if task == "t2i" else 9)
    assert batch["given"].shape == (8, 1 if task == "t2i" else 3)
    np.testing.assert_array_equal(batch["given"][:, 0], task == "i2v")
    assert not batch["given"][:, 1:].any()


def test_tasks_come_in_their_shares():
    config = dataclasses.replace(CONFIG, seed=2, steps=2000)
    tasks = [draw_choice(config, step).task for step in range(2000)]
    for name, share in config.tasks:
        assert abs(tasks.count(name) / 2000 - share) < 0.04


def test_shares_move_in_a_line_over_the_run():
    mix = (("t2i", (1.0, 0.2)), ("t2v", (0.0, 0.8)))
    config = dataclasses.replace(CONFIG, seed=3, steps=3000, tasks=mix)
    images = np.array([draw_choice(config, step).task == "t2i" for step in range(3000)])
    thirds = images.reshape(3, 1000).mean(axis=1)
    np.testing.assert_allclose(thirds, [13 / 15, 9 / 15, 5 / 15], atol=0.05)
    assert dict(config.tasks_at(0.25)) == pytest.approx({"t2i": 0.8, "t2v": 0.2})


def test_images_may_come_from_clips_of_their_own(source, tokenizer):
    stills = dataclasses.replace(source, count=30, frames=1)
    stills.narrative = lambda index: source.narrative(index) | {"clip_id": index}
    batcher = Batcher(source, CONFIG, images=stills, tokenizer=tokenizer)
    tasks = [draw_choice(CONFIG, step).task for step in range(CONFIG.steps)]
    assert set(tasks) == {"t2i", "t2v", "i2v"}
    for step, task in enumerate(tasks):
        batch = batcher(step)
        still = task == "t2i"
        assert ((batch["clip_id"] < 30) == still).all()
        assert batch["video"].shape[1] == (1 if still else source.frames)
        # The draw alone, as the loop's error names clips by it.
        assert len(batcher.draw(step)) == CONFIG.batch_size


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_together_make_the_one_global_batch(source, tokenizer, hosts):
    for step in (0, 5, 23):
        whole = Batcher(source, CONFIG, tokenizer=tokenizer)(step)
        shares = [
            Batcher(source, CONFIG, tokenizer=tokenizer, host=h, hosts=hosts)(step)
            for h in range(hosts)
        ]
        joined = {
            name: np.concatenate([share[name] for share in shares]) for name in whole
        }
        _same(joined, whole)


def test_state_goes_on_exactly_where_it_was(source, tokenizer):
    batches = make_batches(source, CONFIG, tokenizer=tokenizer)
    undisturbed = list(batches)
    assert len(undisturbed) == CONFIG.steps
    iterator = iter(batches)
    for _ in range(9):
        next(iterator)
    state = iterator.get_state()
    fresh = iter(make_batches(source, CONFIG, tokenizer=tokenizer))
    fresh.set_state(state)
    for expected in undisturbed[9:]:
        _same(next(fresh), expected)
    with pytest.raises(StopIteration):
        next(fresh)


def test_processes_make_the_batches_that_threads_make(source, tokenizer):
    threads = iter(make_batches(source, CONFIG, tokenizer=tokenizer))
    config = dataclasses.replace(CONFIG, processes=2)
    processes = iter(make_batches(source, config, tokenizer=tokenizer))
    processes.set_state({"next_index": 7})
    threads.set_state({"next_index": 7})
    for _ in range(3):
        _same(next(processes), next(threads))
    assert processes.get_state() == threads.get_state() == {"next_index": 10}
    processes.close()


def test_orbax_saves_and_restores_the_iterator(source, tokenizer, tmp_path):
    def fresh():
        return iter(make_batches(source, CONFIG, tokenizer=tokenizer))

    iterator = fresh()
    for _ in range(5):
        next(iterator)
    with ocp.CheckpointManager(tmp_path) as manager:
        save = grain.checkpoint.CheckpointSave(iterator)
        manager.save(5, args=ocp.args.Composite(data=save))
        manager.wait_until_finished()
        restored = fresh()
        restore = grain.checkpoint.CheckpointRestore(restored)
        manager.restore(5, args=ocp.args.Composite(data=restore))
    _same(next(restored), next(iterator))


def test_the_number_of_workers_changes_nothing(source, tokenizer):
    runs = [
        list(
            make_batches(
                source,
                dataclasses.replace(CONFIG, steps=6, workers=workers),
                tokenizer=tokenizer,
            )
        )
        for workers in (0, 3)
    ]
    for first, second in zip(*runs, strict=True):
        _same(first, second)


def test_another_seed_gives_other_batches(source, tokenizer):
    other = dataclasses.replace(CONFIG, seed=1)
    first, second = (
        Batcher(source, c, tokenizer=tokenizer)(0)["clip_id"] for c in (CONFIG, other)
    )
    assert not np.array_equal(first, second)


def test_groups_bring_pairs_together(source, tokenizer):
    config = dataclasses.replace(CONFIG, group=2, batch_size=32)
    batch = Batcher(source, config, tokenizer=tokenizer)(1)
    first, second = batch["clip_id"][::2], batch["clip_id"][1::2]
    np.testing.assert_array_equal(first + 1, second)
    assert not (first % 2).any()


def test_mistakes_name_what_was_expected(source, tokenizer):
    with pytest.raises(UserError, match="3 hosts"):
        Batcher(source, CONFIG, tokenizer=tokenizer, hosts=3)
    with pytest.raises(UserError, match="unknown batch fields.*vdieo"):
        dataclasses.replace(CONFIG, fields=("vdieo",))
    with pytest.raises(UserError, match="expected tasks among"):
        dataclasses.replace(CONFIG, tasks=(("t2x", 1.0),))
    with pytest.raises(UserError, match="not all 0"):
        dataclasses.replace(CONFIG, tasks=(("t2i", (0.0, 1.0)), ("t2v", 0.0)))
    with pytest.raises(ValueError, match="expected a tokenizer"):
        Batcher(source, CONFIG)


def test_every_epoch_takes_each_row_once_in_an_order_of_its_own():
    taken = epoch_rows(5, np.arange(15), seed=3)
    assert taken.epochs.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    orders = taken.rows.reshape(3, 5).tolist()
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3, 4]] * 3
    assert len(set(map(tuple, orders))) > 1
    # Whatever the slots are asked with.
    some = epoch_rows(5, np.array([13, 2]), seed=3)
    assert some.rows.tolist() == taken.rows[[13, 2]].tolist()


def test_hosts_share_the_slots_of_all_steps():
    steps = [
        host_slots(step, size=6, host=host, hosts=3)
        for step in range(4)
        for host in range(3)
    ]
    assert np.concatenate(steps).tolist() == list(range(24))


@pytest.mark.parametrize("count", [3, 4, 11])
def test_hosts_share_the_held_out_rows(count):
    whole = held_out_rows(count, size=4)
    assert len(whole) == max(count // 4, 1) and whole[0].tolist()[:3] == [0, 1, 2]
    shares = [held_out_rows(count, size=4, host=host, hosts=2) for host in range(2)]
    for batch, *own in zip(whole, *shares, strict=True):
        assert np.concatenate(own).tolist() == batch.tolist()


def test_turns_are_of_one_size_and_take_each_item():
    turns = full_turns(7, 3)
    assert [len(rows) for rows in turns] == [3, 3, 3]
    assert np.concatenate(turns)[:7].tolist() == list(range(7))
    assert full_turns(0, 3) == []
    assert list(batched(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]
