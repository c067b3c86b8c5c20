"""Every user error is one line on stderr and exit code 2."""

import pytest
from verbs import animatrix


@pytest.mark.parametrize(
    "args,message",
    [
        (["dance"], "no verb 'dance'"),
        (["train"], "both --config=FILE and --workdir=DIR are needed"),
        (["train", "--confg=x"], "confg"),
        (["train", "--config=no/such.py", "--workdir=w"], "no/such.py"),
        (
            ["train", "--config=configs/pico.py:stage=nap", "--workdir=w"],
            "no stage 'nap'; the stages are vae, ct",
        ),
        (
            ["train", "--config=configs/pico.py:stag=ct", "--workdir=w"],
            "config argument 'stag' is not one of stage, data, smoke",
        ),
        (
            ["train", "--config=configs/pico.py", "--config.loop.stps=3"],
            "stps",
        ),
    ],
)
def test_one_line_and_code_2(args, message):
    done = animatrix(*args)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_help_lists_the_verbs():
    done = animatrix("--help")
    assert done.returncode == 0
    for verb in ("train", "sample", "judge", "evaluate", "taxonomy"):
        assert verb in done.stdout
