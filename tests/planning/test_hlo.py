"""Reading compiled programs: against programs whose shape is known."""

import jax
import jax.numpy as jnp
import pytest
from planned_sizes import LAYERS

from animatrix_jax.planning import hlo

WHILE_ON_TPU = """HloModule m, is_scheduled=true

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[]{:T(128)}, f32[4]{0:T(128)S(1)}) parameter(0)
  %kernel.1 = f32[4]{0} custom-call(%p), custom_call_target="tpu_custom_call", frontend_attributes={kernel_metadata={
"xprof_metadata":"{\\"block_q\\": 512}"
}}, backend_config={"estimated_cycles":"7"}
  ROOT %t = (s32[], /*index=1*/f32[4]{0}) tuple(%p, %kernel.1)
}

%condition (q: (s32[], f32[4])) -> pred[] {
  %limit = s32[]{:T(128)} constant(12)
  %q = (s32[]{:T(128)}, f32[4]{0:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%q), index=0
  ROOT %less = pred[]{:T(512)} compare(%i, %limit), direction=LT
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %w = (s32[], f32[4]{0}) while(%a), condition=%condition, body=%body
  ROOT %r = f32[4]{0} get-tuple-element(%w), index=1
}
"""


def test_a_loop_of_a_compiled_scan_runs_as_often_as_the_scan(scanned):
    loops = [i for i in scanned.computations[scanned.entry] if i.op == "while"]
    assert [hlo.trip_count(scanned, loop) for loop in loops] == [LAYERS]
    assert hlo.counts(scanned)[loops[0].called] == LAYERS
    assert hlo.unknown_loops(scanned) == []


def test_a_loop_on_tpu_is_counted_by_its_condition():
    module = hlo.parse(WHILE_ON_TPU)
    assert hlo.counts(module) == {"main": 1, "body": 12}


def test_a_loop_whose_condition_says_nothing_is_named():
    module = hlo.parse(WHILE_ON_TPU.replace("constant(12)", "parameter(1)"))
    assert hlo.unknown_loops(module) == ["w"]
    assert hlo.counts(module)["body"] == 1


def test_metadata_over_several_lines_is_one_instruction():
    module = hlo.parse(WHILE_ON_TPU)
    kernel = module.types["body"]["kernel.1"]
    assert (kernel.target, kernel.cycles) == ("tpu_custom_call", 7)
    assert [i.name for i in module.computations["body"]] == ["p", "kernel.1", "t"]


def test_loops_within_loops_multiply():
    def run(x):
        def inner(x, _):
            return jnp.sin(x) @ x, None

        def outer(x, _):
            return jax.lax.scan(inner, x, length=3)[0], None

        return jax.lax.scan(outer, x, length=7)[0]

    x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    module = hlo.parse(jax.jit(run).lower(x).compile().as_text())
    assert 21 in hlo.counts(module).values()


@pytest.mark.parametrize(
    "text,bytes_,dims,space",
    [
        ("f32[2,3]{1,0:T(8,128)S(1)}", 24, (2, 3), 1),
        ("bf16[4096]{0}", 8192, (4096,), 0),
        ("pred[]", 1, (), 0),
        ("s4[16]{0:S(5)}", 8, (16,), 5),
    ],
)
def test_types(text, bytes_, dims, space):
    (leaf,) = hlo.leaves(text)
    assert (leaf.bytes, leaf.dims, leaf.space) == (bytes_, dims, space)


def test_elements_of_nested_tuples():
    text = "((f32[2]{0}, s32[]), (bf16[4,2]{1,0}, s32[]), u32[])"
    assert hlo.elements(text)[1] == "(bf16[4,2]{1,0}, s32[])"
    assert len(hlo.leaves(text)) == 5


def test_text_without_a_program_is_refused():
    with pytest.raises(ValueError, match="got none with an ENTRY"):
        hlo.parse("nothing")
