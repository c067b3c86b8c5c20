"""No two purposes draw the same clips."""

from animatrix_jax.data import seeds


def test_no_seed_is_given_twice():
    found = {name: value for name, value in vars(seeds).items() if name.isupper()}
    assert len(found) > 10 and all(isinstance(seed, int) for seed in found.values())
    assert len(set(found.values())) == len(found)


def test_candidates_of_any_run_are_of_no_other_stream():
    given = {value for name, value in vars(seeds).items() if name.isupper()}
    assert not given & {seeds.CANDIDATES + run for run in range(1, 1000)}
