"""The sampling notebook runs from top to bottom, on a tiny model of random weights."""

import pathlib

import nbformat
import pytest
from nbclient import NotebookClient
from tiny_model import write_model

PATH = pathlib.Path(__file__).parents[2] / "notebooks" / "sample.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after all its cells, in a folder of its own, nothing installed."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(PATH, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATRIX_SOURCE", "")
        model = write_model(tmp_path_factory.mktemp("model"))
        patch.setenv("ANIMATRIX_CHECKPOINT", str(model))
        client = NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return notebook, folder


def _shown(notebook):
    """The HTML that each cell displayed, of the cells that displayed any."""
    html = [
        "".join(
            output["data"].get("text/html", "")
            for output in cell.get("outputs", [])
            if output["output_type"] == "display_data"
        )
        for cell in notebook.cells
    ]
    return [text for text in html if text]


def test_it_is_committed_without_outputs():
    cells = nbformat.read(PATH, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_where_to_install_from_is_named_once_in_the_first_code_cell():
    cells = nbformat.read(PATH, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert "SOURCE = " in code[0] and "%pip install" in code[0]
    assert not any("%pip" in source for source in code[1:])


def test_every_section_shows_clips_that_play(executed):
    notebook, folder = executed
    shown = _shown(notebook)
    assert [html.count("<video") for html in shown] == [1, 3, 3, 2]
    assert all("data:video/mp4;base64," in html for html in shown)
    assert (folder / "clip.mp4").stat().st_size > 0


def test_clips_of_different_tags_differ(executed):
    notebook, _ = executed
    clips = _shown(notebook)[1].split("<video")[1:]
    assert len({clip.split("base64,")[1].split("'")[0] for clip in clips}) == 3
