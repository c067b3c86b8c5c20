"""A program is compiled once; afterwards it is read, and a damaged copy is made again."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from animatrix_jax.planning import measure, target
from animatrix_jax.planning.subject import Subject


@pytest.fixture
def subject():
    x = jax.ShapeDtypeStruct((64, 64), jnp.float32)
    lowered = jax.jit(lambda x: x @ x).lower(x)
    return Subject(lowered=lowered, arguments={"batch": 64 * 64 * 4})


def test_the_second_time_it_is_read(subject, tmp_path, capsys):
    aim = target.parse("cpu:1")
    first = measure.measure(subject, aim, cache=tmp_path, progress="compiling")
    assert not first.cached and first.memory["arguments"] == 64 * 64 * 4
    assert "compiling" in capsys.readouterr().err
    second = measure.measure(subject, aim, cache=tmp_path, progress="compiling")
    assert second.cached and capsys.readouterr().err == ""
    assert (second.text, second.memory) == (first.text, first.memory)


def test_another_target_or_flag_is_another_program(subject, tmp_path, monkeypatch):
    measure.measure(subject, target.parse("cpu:1"), cache=tmp_path)
    again = measure.measure(subject, target.parse("cpu:2"), cache=tmp_path)
    assert not again.cached
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--xla_something=1")
    assert not measure.measure(subject, target.parse("cpu:1"), cache=tmp_path).cached


def test_a_damaged_copy_is_made_again(subject, tmp_path):
    aim = target.parse("cpu:1")
    measure.measure(subject, aim, cache=tmp_path)
    (packed,) = tmp_path.glob("*.hlo.gz")
    packed.write_bytes(packed.read_bytes()[:-20])
    assert not measure.measure(subject, aim, cache=tmp_path).cached


def test_a_step_that_cannot_fit_says_how_much_it_would_take(tpu, tmp_path):
    place = jax.sharding.SingleDeviceSharding(tpu("tpu:v5e:2x2")[0])
    x = jax.ShapeDtypeStruct((64, 1024, 1024, 1024), jnp.bfloat16, sharding=place)
    subject = Subject(lowered=jax.jit(lambda x: x * 2).lower(x), arguments={})
    found = measure.measure(subject, target.parse("tpu:v5e:2x2"), cache=tmp_path)
    assert not found.compiled and found.memory["peak"] >= 128 * 2**30


def test_a_compiler_that_fails_is_one_line_and_kept_nowhere(subject, tmp_path):
    class Failing:
        def as_text(self):
            return "text"

        def compile(self):
            raise jax.errors.JaxRuntimeError("INTERNAL: no tiles\n\tat some place")

    broken = dataclasses.replace(subject, lowered=Failing())
    with pytest.raises(
        measure.NotCompiled, match="cpu:1's compiler fails: .*no tiles$"
    ):
        measure.measure(broken, target.parse("cpu:1"), cache=tmp_path)
    assert not list(tmp_path.iterdir())
