"""The page for people: what is in it and what is not, and its keys in a browser."""

import json
import os
import re
import shutil
import subprocess
import urllib.parse

import pytest

from animatrix_jax.judge.page import write_page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PAN = "camera.camera_motion=pan_left"


def line(*clips, prompt="a girl runs", tags=(PAN, "vfx.impact=none"), prefers=0):
    return {
        "prompt": prompt,
        "tags": list(tags),
        "clips": list(clips),
        "judge_prefers": prefers,
        "gap": 0.0123,
    }


def data(page):
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(found[1])


def test_a_pair_is_all_there_but_for_the_judge(tmp_path):
    page = tmp_path / "new" / "aside.html"
    write_page(page, [line("a.mp4", "b.mp4")], clips=tmp_path)
    (pair,) = data(page)["pairs"]
    assert pair["line"] == {
        "prompt": "a girl runs",
        "tags": [PAN, "vfx.impact=none"],
        "clips": ["a.mp4", "b.mp4"],
    }
    said = {
        (of["axis"], tag["field"], tag["value"])
        for of in pair["words"]
        for tag in of["tags"]
    }
    assert said == {
        ("camera", "camera motion", "pan left"),
        ("effects", "impact", "none"),
    }
    text = page.read_text(encoding="utf-8")
    assert not re.search("judge_prefers|0.0123|https?:|{{", text)
    assert [path.name for path in page.parent.iterdir()] == ["aside.html"]


def test_what_is_left_is_by_chance_and_stays(tmp_path):
    pairs = [line(f"{n}.mp4", f"{n + 1}.mp4", prefers=n % 2) for n in range(400)]
    one, two = tmp_path / "one.html", tmp_path / "two.html"
    write_page(one, pairs, clips=tmp_path)
    write_page(
        two, [p | {"judge_prefers": 0, "gap": 1.0} for p in pairs], clips=tmp_path
    )
    left = [pair["left"] for pair in data(one)["pairs"]]
    assert left == [pair["left"] for pair in data(two)["pairs"]]
    # Three standard deviations.
    assert abs(sum(left) - 200) < 30
    assert (
        abs(sum(side == p["judge_prefers"] for side, p in zip(left, pairs)) - 200) < 30
    )
    assert data(one)["key"] == data(two)["key"]  # answers go by what the pairs are
    write_page(two, pairs[1:], clips=tmp_path)
    assert data(one)["key"] != data(two)["key"]


@pytest.mark.parametrize(
    "name",
    ["a.mp4", "走る.mp4", "d/50% #1?.mp4", "x#t=1,2.mp4", os.fsdecode(b"\xff.mp4")],
)
def test_clips_are_found_from_the_page(tmp_path, name):
    clips, page = tmp_path / "clips", tmp_path / "out" / "aside.html"
    (clips / name).parent.mkdir(parents=True)
    (clips / name).write_bytes(b"")
    write_page(page, [line(name, f"{name}#t=1.5,2e+01")], clips=clips)
    (pair,) = data(page)["pairs"]
    assert pair["line"]["clips"][0] == name
    whole, part = (urllib.parse.urlsplit(source) for source in pair["sources"])
    assert (whole.fragment, part.fragment) == ("", "t=1.5,2e+01")
    for address in (whole, part):
        found = os.fsdecode(urllib.parse.unquote_to_bytes(address.path))
        assert os.path.samefile(page.parent / found, clips / name)


def test_a_prompt_cannot_leave_its_place(tmp_path):
    page = tmp_path / "aside.html"
    prompt = "</script><script>alert({{css}})</script><!--"
    write_page(page, [line("a.mp4", "b.mp4", prompt=prompt)], clips=tmp_path)
    assert data(page)["pairs"][0]["line"]["prompt"] == prompt
    assert "alert" not in re.sub(r'id="data">.*?</script>', "", page.read_text())


PRESSES = """
<pre id="result"></pre><script>{
Blob = function ([text]) { document.getElementById("result").textContent = text; };
URL.createObjectURL = () => "about:blank";
HTMLAnchorElement.prototype.click = () => {};
const press = (key) => dispatchEvent(new KeyboardEvent("keydown", { key }));
["1", "1", "u", "2", "x", "0", "2"].forEach(press);
const shown = document.querySelector("#left video").getAttribute("src");
document.title = `${document.getElementById("where").textContent}; ${shown}`;
document.getElementById("save").click();}
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="there is no browser here")
def test_keys_decide_and_the_saved_lines_say_it(tmp_path):
    page = tmp_path / "aside.html"
    pairs = [line(f"{n}-0.mp4", f"{n}-1.mp4") for n in range(5)]
    write_page(page, pairs, clips=tmp_path)
    left = [pair["left"] for pair in data(page)["pairs"]]
    assert len(set(left[:2])) == 2  # else the test would not see sides mixed up
    page.write_text(page.read_text().replace("</body>", f"{PRESSES}</body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu"]
    command += ["--dump-dom", page.as_uri()]
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    saved = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)[1]
    answers = [json.loads(text) for text in saved.splitlines()]
    said = [left[0], 1 - left[1], None, 1 - left[3]]
    assert answers == [
        {k: pair[k] for k in ("prompt", "tags", "clips")} | {"people_prefer": prefers}
        for pair, prefers in zip(pairs, said)
    ]
    title = re.search("<title>(.*?)</title>", done.stdout)[1]
    assert title == f"Pair 5 of 5; 4-{left[4]}.mp4"
