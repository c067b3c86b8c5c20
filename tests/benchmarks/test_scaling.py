"""The model between compiled meshes, and the page that says which is which."""

import pytest

from animatrix_jax.errors import UserError
from benchmarks import scaling


def measured(chips):
    """A plan whose memory is 10 + 320 / N GiB and whose step is 5 + 16 / N s."""
    seconds, batch = 5 + 16 / chips, chips // 4
    return {
        "target": f"tpu:v5p:{chips}",
        "mesh": {"data": 1, "fsdp": batch, "sequence": 4, "tensor": 1},
        "chips": chips,
        "batch": batch,
        "fits": True,
        "peak_gib": 10 + 320 / chips,
        "hbm_gib": 95.74,
        "memory_gib": {"gradients": 64 / chips},
        "tokens": 1000,
        "tflops_per_step": 100.0 * batch,
        "step_seconds": seconds,
        "mfu": 0.4,
        "bound": "attention",
        "seconds": {"compute": 1.0, "attention": 3.0, "exposed": 1.0},
        "tokens_per_second": 1000 * batch / seconds,
        "attention_efficiency": 0.45,
        "by_attention_efficiency": {"0.5": {"mfu": 0.42}},
    }


DATA = {
    "wan21_14b tpu:v5p:2x2x4": measured(16),
    "wan21_14b tpu:v5p:4x4x4": measured(64),
}


def test_the_model_goes_through_what_was_compiled_and_on_by_the_law():
    small, large = DATA.values()
    for known in (small, large):
        row = scaling.model(small, large, "v5p", known["chips"])
        assert row.peak_gib == pytest.approx(known["peak_gib"])
        assert row.step_seconds == pytest.approx(known["step_seconds"])
        assert row.batch == known["batch"]
    far = scaling.model(small, large, "v5p", 1024)
    assert far.peak_gib == pytest.approx(10 + 320 / 1024)
    assert far.step_seconds == pytest.approx(5 + 16 / 1024)
    assert far.tokens_per_second == pytest.approx(1000 * 256 / far.step_seconds)


def test_beyond_a_slice_parameters_stay_and_gradients_travel():
    small, large = DATA.values()
    far = scaling.model(small, large, "v5e", 1024)
    assert far.peak_gib == pytest.approx(10 + 320 / 256)
    sent = 2 * 3 / 4 * (64 / 256) * 2**30 / 3.125e9
    assert far.step_seconds == pytest.approx(5 + 16 / 256 + sent)


def test_below_what_was_compiled_time_stays_and_memory_grows():
    small, large = DATA.values()
    few = scaling.model(small, large, "v5p", 4)
    assert few.step_seconds == pytest.approx(small["step_seconds"])
    assert few.peak_gib == pytest.approx(10 + 320 / 4)


def test_memory_never_rises_with_the_chips():
    rows = scaling.rows(DATA, "wan21_14b", "v5p")
    peaks = [row.peak_gib for row in rows]
    assert peaks == sorted(peaks, reverse=True)
    assert [row.chips for row in rows if row.compiled] == [16, 64]
    assert rows[0].chips == 4 and rows[-1].chips >= 1024


def test_one_mesh_alone_gives_no_model():
    one = dict(list(DATA.items())[:1])
    assert [row.chips for row in scaling.rows(one, "wan21_14b", "v5p")] == [16]


def test_the_page_marks_what_was_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "PAGE", tmp_path / "scaling.md")
    refused = {"wan22_5b tpu:v6e:4x4": {"refused": "24 heads do not divide"}}
    scaling.write(DATA | refused)
    lines = (tmp_path / "scaling.md").read_text().splitlines()
    compiled = [line for line in lines if line.endswith("**compiled** |")]
    assert [line.split("|")[1].strip() for line in compiled] == ["16", "64"]
    assert any(line.startswith("| 1,024 ") and "model" in line for line in lines)
    assert "Not compiled: 24 heads do not divide" in lines
    assert "wan21_1_3b on v5e" in lines[lines.index("## Not compiled yet") + 2]
    assert lines[-1].startswith("  matrix peak")  # what was missed comes last


def test_every_job_divides():
    for job in scaling.jobs():
        count = scaling.targets.parse(job.target).count
        assert count % job.sequence == 0
    assert len(scaling.jobs("wan21_14b,v5p")) == 2


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="v9 is none of"):
        scaling.jobs("v9")
