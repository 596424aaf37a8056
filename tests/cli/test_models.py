"""`nodegraph models`: what there is, other programs' folders, and files read whole."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from crash.disks import make_read_only, small_disk
from safetensors.numpy import save_file

from cli.conftest import Nodegraph
from nodegraph.api.paths import shipped

UPSCALER = "starter-2x.safetensors"


def model(path: Path, fill: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"a": np.full((2, 3), fill, np.float32)}, path)
    return path


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    for kind in ("checkpoints", "loras"):
        model(tmp_path / "ComfyUI" / "models" / kind / f"my_{kind}.safetensors")
    return tmp_path / "ComfyUI"


def test_models_are_listed_with_kind_size_and_folder(nodegraph: Nodegraph, data: Path) -> None:
    model(data / "models" / "mine.safetensors")
    rows = {row["name"]: row for row in nodegraph("models", "list", "--json", "--data", data).json["models"]}
    assert set(rows) == {"mine.safetensors", "starter", UPSCALER}
    assert (rows["starter"]["kind"], rows["starter"]["family"]) == ("checkpoint", "starter")
    assert rows["mine.safetensors"]["folder"] == str(data / "models")
    assert rows["mine.safetensors"]["sha256"] is None
    lines = nodegraph("models", "list", "--data", data).stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "family", "size", "digest", "folder"]
    assert lines[-2].split()[:3] == ["starter", "checkpoint", "starter"]
    assert lines[-1].split()[:2] == [UPSCALER, "upscaler"]


def test_listing_makes_nothing(nodegraph: Nodegraph, tmp_path: Path) -> None:
    assert nodegraph("models", "list", "--data", tmp_path / "new").code == 0
    assert not (tmp_path / "new").exists()


def test_a_comfyui_folder_is_added_listed_and_removed(nodegraph: Nodegraph, data: Path, comfyui: Path) -> None:
    added = nodegraph("models", "add", comfyui, "--json", "--data", data).json
    assert (added["layout"], added["added"]) == ("comfyui", True)
    assert [(row["kind"], row["models"]) for row in added["folders"]] == [("checkpoint", 1), ("lora", 1)]
    assert "was registered before" in nodegraph("models", "add", comfyui, "--data", data).stdout
    listed = nodegraph("models", "list", "--json", "--data", data).json["models"]
    assert {"my_checkpoints.safetensors", "my_loras.safetensors"} < {row["name"] for row in listed}
    assert nodegraph("models", "add", "--remove", comfyui, "--data", data).code == 0
    assert len(nodegraph("models", "list", "--json", "--data", data).json["models"]) == 2  # those that come along
    gone = nodegraph("models", "add", "--remove", comfyui, "--data", data)
    assert (gone.code, gone.error) == (2, None)


def test_a_relative_folder_is_meant_from_here(nodegraph: Nodegraph, data: Path, comfyui: Path) -> None:
    assert nodegraph("models", "add", "ComfyUI", "--json", "--data", data).json["folder"] == str(comfyui)


def test_what_is_no_folder_is_refused(nodegraph: Nodegraph, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "no", tmp_path / "file"):
        done = nodegraph("models", "add", path, "--data", data)
        assert (done.code, done.error) == (2, None)
    assert not (data / "models.json").exists()


def test_a_data_folder_that_cannot_be_written_is_explained(nodegraph: Nodegraph, tmp_path: Path, comfyui: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        make_read_only(disk)
        done = nodegraph("models", "add", comfyui, "--data", disk)
    assert (done.code, done.error) == (2, None)
    assert "cannot be written" in done.stderr


def test_a_data_folder_that_is_a_file_is_explained(nodegraph: Nodegraph, tmp_path: Path, comfyui: Path) -> None:
    (tmp_path / "file").write_text("")
    done = nodegraph("models", "add", comfyui, "--data", tmp_path / "file")
    assert (done.code, done.error) == (2, None)


def test_a_missing_folder_is_noted_and_is_no_error(nodegraph: Nodegraph, data: Path, comfyui: Path) -> None:
    nodegraph("models", "add", comfyui, "--data", data)
    shutil.rmtree(comfyui)
    done = nodegraph("models", "list", "--data", data)
    assert done.code == 0
    assert "not there now" in done.stderr
    assert nodegraph("models", "list", "--json", "--data", data).json["missing_folders"] == [str(comfyui)]
    assert nodegraph("models", "add", "--remove", comfyui, "--data", data).code == 0


def test_verifying_remembers_digests_and_compares_with_them(nodegraph: Nodegraph, data: Path) -> None:
    path = model(data / "models" / "mine.safetensors")
    (row,) = nodegraph("models", "verify", "mine", "--json", "--data", data).json["models"]
    assert (row["ok"], row["compared_with"]) == (True, [])
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    (row,) = nodegraph("models", "verify", "mine.safetensors", "--json", "--data", data).json["models"]
    assert row["compared_with"] == ["remembered"]
    rows = nodegraph("models", "list", "--json", "--data", data).json["models"]
    assert {row["name"]: bool(row["sha256"]) for row in rows} == {
        "mine.safetensors": True,
        "starter": False,
        UPSCALER: False,
    }


def test_a_damaged_model_gives_code_1_and_the_others_are_verified_too(nodegraph: Nodegraph, data: Path) -> None:
    path = model(data / "models" / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    model(data / "models" / "well.safetensors")
    (data / "models" / "well.sha256").write_text("0" * 64)
    done = nodegraph("models", "verify", "--json", "--data", data)
    assert done.code == 1
    assert {row["name"]: row["ok"] for row in done.json["models"]} == {
        "cut.safetensors": False,
        "well.safetensors": False,
        "starter": True,
        UPSCALER: True,
    }
    plain = nodegraph("models", "verify", "--data", data)
    assert plain.code == 1
    assert "cut short" in plain.stderr
    assert "well.sha256" in plain.stderr
    assert "starter: as it was" in plain.stdout


def test_an_unknown_name_is_answered_with_the_nearest(nodegraph: Nodegraph, data: Path) -> None:
    done = nodegraph("models", "verify", "startr", "--data", data)
    assert done.code == 2
    assert "Did you mean starter?" in done.stderr


def test_names_cannot_draw_on_the_terminal(nodegraph: Nodegraph, data: Path) -> None:
    model(data / "models" / "a\x1b[31m\nb.safetensors")
    done = nodegraph("models", "list", "--data", data)
    assert "\x1b" not in done.stdout
    assert r"a\u001b[31m\nb.safetensors" in done.stdout
    assert "\x1b" not in nodegraph("models", "verify", "--data", data).stdout


@pytest.mark.slow
def test_a_workflow_runs_with_a_model_of_a_registered_folder(nodegraph: Nodegraph, data: Path, comfyui: Path) -> None:
    shutil.copytree(shipped("models") / "starter", comfyui / "models" / "checkpoints" / "borrowed")
    nodegraph("models", "add", comfyui, "--data", data)
    workflow = shipped("workflows") / "text_to_image.json"
    options = (
        "--set",
        "model.model=borrowed",
        "--set",
        "denoise.steps=1",
        "--set",
        "schedule.steps=1",
        "--data",
        data,
        "--json",
    )
    done = nodegraph("run", workflow, *options)
    assert done.code == 0, done.stdout
