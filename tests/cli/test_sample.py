"""`animatrix sample` as a user runs it: a process, its files, its errors."""

import json
import resource

import av
import numpy as np
import pytest
from PIL import Image
from verbs import animatrix

TAGS = "motion.motion_style=run,camera.camera_motion=pan_left"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tiny_model import write_model

    return write_model(tmp_path_factory.mktemp("model"))


def _frames(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate)
        codec = stream.codec_context.name
        images = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
    return np.stack(images), rate, codec


def test_mp4_and_json(model, tmp_path):
    out = tmp_path / "new" / "x.mp4"
    result = animatrix(
        "sample",
        f"--checkpoint={model}", "--prompt=a girl runs", f"--tags={TAGS}",
        f"--out={out}", "--steps=2", "--scale=4", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    video, rate, codec = _frames(out)
    assert video.shape == (5, 64, 64, 3) and rate == 12 and codec == "h264"
    assert "64 x 64" in result.stdout
    lines = result.stdout.strip().splitlines()
    for phase in ("load", "compile", "sample"):
        assert phase in lines[-2]
    report = json.loads(lines[-1])
    assert report["out"] == [str(out)] and report["frames"] == 5
    assert (report["width"], report["height"], report["fps"]) == (64, 64, 12)
    assert sorted(report["tags"]) == sorted(TAGS.split(","))
    assert {"load", "compile", "sample", "decode"} <= report["seconds"].keys()


def test_image_to_video_numbered_gifs_at_another_rate(model, tmp_path):
    picture = tmp_path / "first.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(picture)
    result = animatrix(
        "sample",
        f"--checkpoint={model}", f"--image={picture}", "--last_image=", "--num=2", "--fps=10",
        "--frames=3", "--steps=2", f"--out={tmp_path / 'x.gif'}", "--solver=unipc",
        "--scale=3",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for i in range(2):
        with Image.open(tmp_path / f"x_{i}.gif") as gif:
            assert gif.n_frames == 3 and gif.size == (48, 48)
            # Nearest pixel: each is a square of 3 x 3.
            pixels = np.asarray(gif.convert("RGB"))
            small = pixels[::3, ::3]
            assert (small.repeat(3, axis=0).repeat(3, axis=1) == pixels).all()
            assert gif.info["duration"] == 100


def test_png_of_several_clips_is_one_sheet(model, tmp_path):
    out = tmp_path / "sheet.png"
    result = animatrix(
        "sample",
        f"--checkpoint={model}", "--num=2", "--steps=1", "--frames=3", f"--out={out}",
        "--negative_prompt=rain", "--order=tag_first", f"--tags={TAGS}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    with Image.open(out) as sheet:
        assert sheet.width > 3 * 64 and sheet.height > 2 * 64


def _fails(result, *words):
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0]


def test_unknown_tag_names_its_neighbour_at_once():
    before = _cpu_seconds()
    result = animatrix("sample", "--tags=camera.camera_motion=pan_lft")
    _fails(result, "pan_lft", "pan_left")
    assert _cpu_seconds() - before < 2.0  # of the processor: the machine may be busy


def _cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_bad_request_fails_before_jax_is_imported(tmp_path):
    code = (
        "import sys\n"
        "from animatrix_jax.cli import app, sample\n"
        "try:\n"
        "    app.run(sample.main, ['sample', '--tags=camera.camera_motion=pan_lft'])\n"
        "finally:\n"
        "    print('jax' in sys.modules)\n"
    )
    result = animatrix(code=code)
    assert result.returncode == 2 and result.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--checkpoint=no/such/folder"], ["no/such/folder"]),
        (["--image={tmp}/missing.png"], ["missing.png"]),
        (["--image={tmp}/text.png"], ["text.png"]),
        (["--out=clip.avi"], [".mp4", ".gif", ".webp", ".png", "clip.avi"]),
        (["--out={tmp}/text.png/x.mp4"], ["text.png/x.mp4"]),
        (["--out={tmp}/folder.mp4"], ["folder.mp4", "folder"]),
        (["--steps=0"], ["steps", "0"]),
        (["--num=0"], ["num", "0"]),
        (["--seed=-1"], ["seed", "-1"]),
        (["--fps=0.01"], ["fps", "0.01"]),
        (["--scale=0"], ["scale", "0"]),
        (["--guidance_text=nan"], ["guidance_text", "nan"]),
        (["--order=tags"], ["order", "tags"]),
        (["--colour=red"], ["colour"]),
        (["a girl runs"], ["a girl runs", "--prompt"]),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else None,
)
def test_every_mistake_is_one_line_and_exit_code_2(flags, words, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "folder.mp4").mkdir()
    flags = [flag.format(tmp=tmp_path) for flag in flags]
    if not any(flag.startswith("--out") for flag in flags):
        flags.append(f"--out={tmp_path / 'x.mp4'}")
    _fails(animatrix("sample", *flags), *words)
    assert not (tmp_path / "x.mp4").exists()


def test_a_length_that_the_vae_cannot_make(model, tmp_path):
    result = animatrix(
        "sample", f"--checkpoint={model}", "--frames=6", f"--out={tmp_path / 'x.mp4'}"
    )
    _fails(result, "frames", "6")
