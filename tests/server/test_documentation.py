"""Node documentation over HTTP: a pack's texts and pictures, and nothing else of what lies there."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from server.harness import ServerProcess

pytestmark = pytest.mark.slow

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
SOURCE = """
from nodegraph import node

@node()
def told(x: int) -> int:
    return x

@node()
def untold(x: int) -> int:
    return x

@node()
def garbled(x: int) -> int:
    return x
"""
TEXT = "# Told\n\n![what it does](good.png) ![away](gone.png) ![a page](page.svg) ![not one](fake.png)\n"


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `docs` of an installed pack, with what may be served and what may not."""
    site = tmp_path_factory.mktemp("site")
    info = site / "shown-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shown\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nodegraph.packs]\nshown = shown_pack\n")
    docs = site / "shown_pack" / "docs"
    docs.mkdir(parents=True)
    (docs.parent / "__init__.py").write_text(SOURCE)
    (docs.parent / "secret.png").write_bytes(PNG)
    (docs / "told.md").write_text(TEXT)
    (docs / "garbled.md").write_bytes(b"\xff\xfe")
    (docs / "good.png").write_bytes(PNG)
    (docs / "other.png").write_bytes(PNG)
    (docs / "fake.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    (docs / "page.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (docs / "notes.txt").write_text("notes")
    (docs / "large.png").write_bytes(PNG + bytes(1 << 20))
    (docs / "link.png").symlink_to(docs.parent / "secret.png")
    (docs / "folder.png").mkdir()
    return docs


@pytest.fixture(scope="module")
def server(docs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("data"), site=docs.parents[1]) as started:
        yield started


def test_the_catalog_says_which_nodes_are_documented(server: ServerProcess) -> None:
    nodes = server.get("/api/nodes")["nodes"]
    assert [nodes[f"shown/{name}"]["docs"] for name in ("told", "untold")] == [True, False]
    assert nodes["diffusion/guidance"]["docs"]
    assert nodes["core/show_table"]["view"] == "table"


def test_documentation_comes_with_the_addresses_of_the_pictures_that_it_shows(server: ServerProcess) -> None:
    found = server.get("/api/nodes/shown/told/documentation")
    assert found == {
        "markdown": TEXT,
        "pictures": {"fake.png": "/api/packs/shown/docs/fake.png", "good.png": "/api/packs/shown/docs/good.png"},
    }


def test_a_picture_comes_with_headers_under_which_no_browser_runs_it(server: ServerProcess) -> None:
    status, headers, body = server.send("GET", "/api/packs/shown/docs/good.png")
    assert (status, body, headers["Content-Type"]) == (200, PNG, "image/png")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    again = server.send("GET", "/api/packs/shown/docs/good.png", headers={"If-None-Match": headers["ETag"]})
    assert (again[0], again[2]) == (304, b"")


def test_a_picture_that_changed_has_another_tag(server: ServerProcess, docs: Path) -> None:
    tag = server.send("GET", "/api/packs/shown/docs/other.png")[1]["ETag"]
    (docs / "other.png").write_bytes(PNG + b"more")
    assert server.send("GET", "/api/packs/shown/docs/other.png", headers={"If-None-Match": tag})[0] == 200


@pytest.mark.parametrize(
    "name",
    [
        *("gone.png", "fake.png", "page.svg", "notes.txt", "told.md", "large.png", "link.png", "folder.png"),
        *("../secret.png", "..%2Fsecret.png", "%2e%2e%2fsecret.png", "..", ".png", "/etc/passwd", "good.png%00", "good.PNG"),
        quote("good.png\n", safe=""),
    ],
)
def test_nothing_but_pictures_of_that_folder_is_there(server: ServerProcess, name: str) -> None:
    status, _, body = server.send("GET", f"/api/packs/shown/docs/{name}")
    assert status == 404
    assert b"<svg" not in body
    assert PNG not in body


@pytest.mark.parametrize(
    "place",
    [
        *("shown/untold", "shown/garbled", "shown/gone", "gone/told", "core/integer"),
        *("shown/..%2Ftold", "shown/told.md", "shown/%2e%2e", "nodegraph.sdk/told"),
    ],
)
def test_what_has_no_documentation_says_so(server: ServerProcess, place: str) -> None:
    status, answer = server.ask("GET", f"/api/nodes/{place}/documentation")
    assert (status, answer["type"]) == (404, "nodegraph:not_found")


@pytest.mark.parametrize("name", ["denoise", "guidance", "encode_prompt"])
def test_our_own_nodes_show_every_picture_that_they_mention(server: ServerProcess, name: str) -> None:
    found: dict[str, Any] = server.get(f"/api/nodes/diffusion/{name}/documentation")
    assert found["markdown"].count("](") == len(found["pictures"]) == 1
    for url in found["pictures"].values():
        status, headers, body = server.send("GET", url)
        assert (status, headers["Content-Type"]) == (200, "image/webp")
        assert len(body) < 25_000


def test_whoever_is_not_signed_in_sees_nothing_of_it(server: ServerProcess) -> None:
    for path in ("/api/nodes/shown/told/documentation", "/api/packs/shown/docs/good.png"):
        assert server.send("GET", path, headers={"Authorization": ""})[0] == 401
