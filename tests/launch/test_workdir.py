"""`animatrix train` on a bucket: refused, for the scripts mount it as a folder."""

import subprocess
import sys

from shells import ROOT, fails


def test_a_bucket_is_not_taken_for_a_folder(tmp_path):
    command = [sys.executable, "-m", "animatrix_jax.cli.main", "train"]
    result = subprocess.run(
        [*command, f"--config={ROOT}/configs/pico.py", "--workdir=gs://bucket/run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    fails(result, "gs://bucket/run", "docs/launch.md")
    assert list(tmp_path.iterdir()) == []
