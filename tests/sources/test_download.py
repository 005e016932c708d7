"""Download: verified, resumed, honest about failure; against a local server that misbehaves."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fadecast.errors import ConfigError, ReadError
from fadecast.sources import download
from fadecast.sources.download import DATASETS, Dataset, get

pytest.importorskip("pooch")

FILES = {f"data/train/cell{i}.csv": bytes([65 + i]) * 50_000 for i in range(1, 5)}


class Server:
    """Serves ``FILES``; ``trouble`` may answer a request otherwise."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: Callable[[http.server.BaseHTTPRequestHandler, bytes], bool] | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                outer.asked.append(path)
                body = FILES.get(path)
                if body is None:
                    self.send_error(404)
                elif outer.trouble is None or not outer.trouble(self, body):
                    self.answer(body)

            def answer(self, body: bytes, promised: int | None = None) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(promised or len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made_up = Dataset("made up", "http://192.0.2.1/", "unused")
    digests = {path: f"sha256:{hashlib.sha256(body).hexdigest()}" for path, body in FILES.items()}
    monkeypatch.setattr(Dataset, "registry", lambda self: digests)
    monkeypatch.setitem(download.DATASETS, "made-up", made_up)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    one = Server()
    thread = threading.Thread(target=one.http.serve_forever, daemon=True)
    thread.start()
    yield one
    one.http.shutdown()
    one.http.server_close()


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder / "made-up")): path.read_bytes()
        for path in folder.rglob("*.csv")
    }


def test_all_files_arrive_and_a_second_time_none_is_asked_for(server, tmp_path: Path) -> None:
    seen: list[int] = []
    folder = get("made-up", tmp_path, base_url=server.url, progress=lambda d, n, p: seen.append(d))
    assert folder == tmp_path / "made-up"
    assert content(tmp_path) == FILES
    assert seen == [0, 1, 2, 3, 4]
    asked = len(server.asked)
    get("made-up", tmp_path, base_url=server.url.rstrip("/"))
    assert len(server.asked) == asked


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(server, tmp_path: Path) -> None:
    def tampered(handler, body: bytes) -> bool:
        handler.answer(body.replace(b"C", b"X"))
        return True

    server.trouble = tampered
    with pytest.raises(ReadError, match=r"cell2\.csv: what was downloaded does not match"):
        get("made-up", tmp_path, base_url=server.url)
    assert content(tmp_path) == {"data/train/cell1.csv": FILES["data/train/cell1.csv"]}
    assert server.asked.count("data/train/cell2.csv") == download.ATTEMPTS


def test_a_transfer_that_breaks_off_once_is_tried_again(server, tmp_path: Path) -> None:
    broken: list[str] = []

    def cut(handler, body: bytes) -> bool:
        if handler.path in broken:
            return False
        broken.append(handler.path)
        handler.answer(body[:20_000], promised=len(body))
        return True

    server.trouble = cut
    get("made-up", tmp_path, base_url=server.url)
    assert content(tmp_path) == FILES
    assert len(server.asked) == 2 * len(FILES)


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path: Path) -> None:
    def gone(handler, body: bytes) -> bool:
        if handler.path.endswith(("cell3.csv", "cell4.csv")):
            handler.answer(body[:20_000], promised=len(body))
            return True
        return False

    server.trouble = gone
    with pytest.raises(ReadError, match=r"run the command again: it goes on where it stopped"):
        get("made-up", tmp_path, base_url=server.url)
    assert set(content(tmp_path)) == {"data/train/cell1.csv", "data/train/cell2.csv"}
    server.trouble, server.asked = None, []
    get("made-up", tmp_path, base_url=server.url)
    assert content(tmp_path) == FILES
    assert server.asked == ["data/train/cell3.csv", "data/train/cell4.csv"]


def test_a_file_that_was_altered_on_disk_is_fetched_again(server, tmp_path: Path) -> None:
    get("made-up", tmp_path, base_url=server.url)
    (tmp_path / "made-up/data/train/cell1.csv").write_bytes(b"something else")
    get("made-up", tmp_path, base_url=server.url)
    assert content(tmp_path) == FILES


def test_a_server_without_the_file(server, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"cannot be downloaded from .*/elsewhere"):
        get("made-up", tmp_path, base_url=server.url + "elsewhere/")


def test_an_unknown_data_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="matr"):
        get("mnist", tmp_path)


def test_the_registry_of_matr_is_complete() -> None:
    registry = DATASETS["matr"].registry()
    for split, cells in (("train", 41), ("test1", 43), ("test2", 40)):
        assert f"data/cycle_lives/{split}_cycle_lives.csv" in registry
        assert {f"data/{split}/cell{i + 1}.csv" for i in range(cells)} <= set(registry)
    assert len(registry) == 127
    assert all(d.startswith("sha256:") and len(d) == 71 for d in registry.values())
    assert DATASETS["matr"].base_url.startswith("https://")
