"""`nodegraph run --server` and `nodegraph jobs`, in processes of their own, against a real server: a local run, but there."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from server.conftest import server, site
from server.harness import TOKEN, ServerProcess, chain, until

from nodegraph.cli.remote_events import rgb_of
from nodegraph.cli.server_option import HERE, with_address
from nodegraph.sdk.context import Preview
from nodegraph.workers.telling import as_png

__all__ = ["server", "site"]

TEXT_TO_IMAGE = Path("workflows/text_to_image.json").resolve()
COMMAND = [sys.executable, "-m", "nodegraph.cli"]
ASK: dict[str, Any] = {
    "nodegraph": 1,
    "nodes": {
        "lines": {"type": "core/split_lines", "inputs": {"value": "red\ngreen\nblue"}},
        "ask": {"type": "core/ask", "inputs": {"question": "Which colour?"}, "links": {"options": "lines.texts"}},
    },
    "interface": {"outputs": {"colour": "ask.chosen"}},
}


@pytest.fixture
def place(tmp_path: Path, data_folder: Path) -> Path:
    """A folder to work in, with a data folder that has accepted nothing."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "catalog").symlink_to(data_folder / "catalog")
    return tmp_path


def environment(server: ServerProcess, **more: str) -> dict[str, str]:
    return {**server.env, "NODEGRAPH_TOKEN": TOKEN, "COLUMNS": "200", **more}


def call(place: Path, server: ServerProcess, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command, in a folder of its own."""
    arguments = [*COMMAND, *map(str, words), "--data", str(place / "data")]
    return subprocess.run(
        arguments,
        cwd=place,
        env=environment(server, **more),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=240,
    )


def written(place: Path, document: Mapping[str, Any], name: str = "w.json") -> str:
    (place / name).write_text(json.dumps(document))
    return name


# ---- the option ----


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["w.json", "--server"], ["w.json", f"--server={HERE}"]),
        (["w.json", "--server", "--steps", "3"], ["w.json", f"--server={HERE}", "--steps", "3"]),
        (["--server", "w.json"], [f"--server={HERE}", "w.json"]),
        (["w.json", "--server", "http://a:1"], ["w.json", "--server", "http://a:1"]),
        (["w.json", "--server", "gpu-box:8188"], ["w.json", "--server", "gpu-box:8188"]),
        (["w.json", "--server=https://a"], ["w.json", "--server=https://a"]),
        (["w.json", "--", "--server"], ["w.json", "--", "--server"]),
    ],
)
def test_server_alone_is_the_one_on_this_machine(words: list[str], made: list[str]) -> None:
    assert with_address(words) == made


@pytest.mark.parametrize("size", [(1, 1), (16, 9), (64, 64)])
def test_a_preview_comes_out_of_its_png_as_it_went_in(size: tuple[int, int]) -> None:
    preview = Preview(*size, bytes(i % 251 for i in range(3 * size[0] * size[1])))
    assert rgb_of(as_png(preview)) == preview


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"x" * 100, as_png(Preview(9, 9, bytes(range(243))))[:-60]])
def test_a_damaged_preview_is_left_out(data: bytes) -> None:
    assert rgb_of(data) is None


# ---- the same as on this machine ----


@pytest.mark.slow
def test_the_pictures_are_those_of_a_local_run_to_the_byte(place: Path, server: ServerProcess) -> None:
    words: list[str | Path] = ["run", TEXT_TO_IMAGE, "--seed", "21", "--prompt", "a green pear", "--json"]
    here = json.loads(call(place, server, *words, "--out", "here").stdout)
    done = call(place, server, *words, "--out", "there", "--server", server.url)
    there = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    (local,), (remote,) = here["outputs"]["image"], there["outputs"]["image"]
    assert Path(remote["path"]) == Path("there") / Path(local["path"]).relative_to("here")
    assert (place / remote["path"]).read_bytes() == (place / local["path"]).read_bytes()
    assert remote["digest"] == local["digest"]
    assert there["inputs"] == here["inputs"]
    assert list(there) == list(here)
    assert {name: row["type"] for name, row in there["nodes"].items()} == {n: row["type"] for n, row in here["nodes"].items()}
    assert call(place, server, *words[:-1], "--out", "there", "--server", server.url).stdout == f"{remote['path']}\n"


@pytest.mark.slow
def test_values_settings_and_single_nodes_work_as_here(place: Path, server: ServerProcess) -> None:
    nodes = {
        "a": {"type": "core/integer", "inputs": {"value": 3}},
        "sum": {"type": "core/calculate_whole", "inputs": {"b": 4}, "links": {"a": "a.value"}},
    }
    interface = {"inputs": {"a": {"to": ["a.value"]}}, "outputs": {"sum": "sum.value"}}
    file = written(place, {"nodegraph": 1, "nodes": nodes, "interface": interface})
    done = call(place, server, "run", file, "--server", server.url, "--a", "10", "--set", "sum.b=5")
    assert (done.stdout, done.returncode) == ("sum: 15\n", 0), done.stderr
    for more in (["--only", "a"], ["--explain"], ["--batched", "--quiet"]):
        here = call(place, server, "run", file, *more)
        there = call(place, server, "run", file, *more, "--server", server.url)
        assert there.returncode == here.returncode == 0
        assert there.stdout.splitlines()[-1] == here.stdout.splitlines()[-1]


@pytest.mark.slow
def test_a_file_that_is_typed_is_sent_along(place: Path, server: ServerProcess) -> None:
    Image.new("RGB", (7, 2)).save(place / "dog.png")
    nodes = {
        "load": {"type": "image/load_image", "inputs": {"path": "cat.png"}},
        "size": {"type": "image/image_size", "links": {"image": "load.image"}},
    }
    interface = {"inputs": {"picture": {"to": ["load.path"]}}, "outputs": {"width": "size.width"}}
    file = written(place, {"nodegraph": 1, "nodes": nodes, "interface": interface})
    done = call(place, server, "run", file, "--picture", "dog.png", "--server", server.url)
    assert (done.stdout, done.returncode) == ("width: 7\n", 0), done.stderr
    gone = call(place, server, "run", file, "--picture", "no.png", "--server", server.url)
    assert gone.returncode == 2
    assert "no.png cannot be read" in gone.stderr


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["1", "green"])
def test_an_answer_given_beforehand_is_taken(place: Path, server: ServerProcess, answer: str) -> None:
    done = call(place, server, "run", written(place, ASK), "--answer", f"ask={answer}", "--json", "--server", server.url)
    assert json.loads(done.stdout)["outputs"] == {"colour": [{"value": "green"}]}


@pytest.mark.slow
def test_without_anybody_to_ask_the_run_fails_and_says_how_to_answer(place: Path, server: ServerProcess) -> None:
    file = written(
        place, {**ASK, "nodes": {**ASK["nodes"], "lines": {"type": "core/split_lines", "inputs": {"value": "a\nb"}}}}
    )
    done = call(place, server, "run", file, "--server", server.url)
    assert done.returncode == 1
    assert "--answer ask=N" in done.stderr


@pytest.mark.slow
def test_the_live_view_shows_the_nodes(place: Path, server: ServerProcess) -> None:
    theirs, ours = pty.openpty()
    file = written(place, chain(["seen"], seconds=0.5))
    command = [*COMMAND, "run", file, "--trust", "--data", str(place / "data"), "--server", server.url]
    process = subprocess.Popen(command, cwd=place, env=environment(server), stdin=ours, stderr=ours, stdout=subprocess.PIPE)
    os.close(ours)
    shown = b""
    try:
        while chunk := os.read(theirs, 4096):
            shown += chunk
    except OSError:  # which is how a terminal ends
        pass
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, shown
    assert out.endswith(b".txt\n")
    assert "busy/work" in shown.decode()
    assert "✓" in shown.decode()


# ---- consent ----


@pytest.mark.slow
def test_what_the_workflow_wants_is_refused_until_it_is_trusted_once(place: Path, server: ServerProcess) -> None:
    file = written(place, chain(["trust"]))
    refused = call(place, server, "run", file, "--server", server.url, "--json")
    assert refused.returncode == 2
    assert [problem["code"] for problem in json.loads(refused.stdout)["problems"]] == ["untrusted"]
    assert call(place, server, "run", file, "--server", server.url, "--trust").returncode == 0
    assert call(place, server, "run", file, "--server", server.url).returncode == 0


# ---- stopping, leaving, coming back ----


@pytest.mark.slow
def test_ctrl_c_cancels_the_job(place: Path, server: ServerProcess) -> None:
    file = written(place, chain(["interrupted"], seconds=60.0))
    command = [*COMMAND, "run", file, "--trust", "--json", "--data", str(place / "data"), "--server", server.url]
    process = subprocess.Popen(command, cwd=place, env=environment(server), stdout=-1, stderr=-1, text=True)
    until(lambda: "interrupted" in server.lines())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)) == (130, {"status": "cancelled"}), err
    job = server.get("/api/jobs?limit=1")["jobs"][0]
    assert server.wait(job["id"], seconds=20)["state"] == "cancelled"


@pytest.mark.slow
def test_a_detached_run_gives_the_id_of_its_job(place: Path, server: ServerProcess) -> None:
    file = written(place, chain(["left"], seconds=0.5))
    done = call(place, server, "run", file, "--trust", "--detach", "--server", server.url)
    assert done.returncode == 0, done.stderr
    assert server.wait(done.stdout.strip())["state"] == "succeeded"


@pytest.mark.slow
def test_a_job_that_fails_fails_the_command(place: Path, server: ServerProcess) -> None:
    file = written(place, chain(["never"], kind="refuse"))
    done = call(place, server, "run", file, "--trust", "--server", server.url, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["status"]) == (1, "failed")
    assert report["problems"][0]["node"] == "s0"
    assert "This never works" in report["problems"][0]["message"]


# ---- what is wrong ----


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--plan", "--lock", "--locked", "--no-cache", "--models=."])
def test_what_only_works_here_is_refused(place: Path, server: ServerProcess, option: str) -> None:
    done = call(place, server, "run", TEXT_TO_IMAGE, option, "--server", server.url)
    assert done.returncode == 2
    assert f"{option.partition('=')[0]} does not go with --server" in done.stderr


@pytest.mark.slow
def test_wrong_options_are_refused_as_here(place: Path, server: ServerProcess) -> None:
    here = call(place, server, "run", TEXT_TO_IMAGE, "--stepz", "3", "--json")
    there = call(place, server, "run", TEXT_TO_IMAGE, "--stepz", "3", "--json", "--server", server.url)
    assert (there.returncode, there.stdout) == (here.returncode, here.stdout)


@pytest.mark.slow
def test_a_wrong_token_is_refused(place: Path, server: ServerProcess) -> None:
    done = call(place, server, "run", TEXT_TO_IMAGE, "--server", server.url, NODEGRAPH_TOKEN="not-that-one")
    assert done.returncode == 2
    assert "NODEGRAPH_TOKEN" in done.stderr
    assert "not-that-one" not in done.stderr


@pytest.mark.slow
def test_without_a_server_it_says_so(place: Path, server: ServerProcess) -> None:
    for more in (["--server"], ["--server", "127.0.0.1:1"]):
        done = call(place, server, "run", TEXT_TO_IMAGE, *more)
        assert done.returncode == 1
        assert "nodegraph serve" in done.stderr
        assert "Traceback" not in done.stderr


# ---- jobs ----


@pytest.mark.slow
def test_jobs_are_listed_shown_cancelled_and_tried_again(place: Path, server: ServerProcess) -> None:
    id_ = server.submit(chain(["listed"], seconds=60.0))
    at = ["--server", server.url]
    assert id_ in call(place, server, "jobs", "list", *at).stdout
    assert json.loads(call(place, server, "jobs", "list", "--json", "--limit", "1", *at).stdout)["jobs"][0]["id"] == id_
    assert call(place, server, "jobs", "cancel", id_, *at).returncode == 0
    server.wait(id_)
    shown = call(place, server, "jobs", "show", id_, *at)
    assert shown.stdout.startswith(f"{id_}  cancelled")
    again = call(place, server, "jobs", "retry", id_, *at)
    assert again.returncode == 0, again.stderr
    assert json.loads(call(place, server, "jobs", "show", again.stdout.strip(), "--json", *at).stdout)["retry_of"] == id_
    call(place, server, "jobs", "cancel", again.stdout.strip(), *at)
    assert call(place, server, "jobs", "show", "0" * 26, *at).returncode == 2
    assert call(place, server, "jobs", "list", "--state", "sleeping", *at).returncode == 2
