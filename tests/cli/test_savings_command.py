"""`askonce savings`: from a gateway or a store, as a table, CSV, JSON and a picture."""

import csv
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import msgspec
import pytest

from askonce.cli import main
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.ledger.savings import plain_savings, savings_of_counters
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store

Run = Callable[..., tuple[int, str, str]]
TOKEN = "an-admin-token-of-a-test"


def today() -> str:
    return date.fromordinal(719_163 + int(SyncRuntime().now() // 86_400)).isoformat()


def counts() -> dict[str, int]:
    acme, evil = f"|day|{today()}|acme|gpt-5|/v1/x|", f"|day|{today()}|=1+1|evil\x1b[31m|/v1/x|"
    return {
        "outcome:memory": 5,
        f"{acme}exact.calls": 4,
        f"{acme}exact.tokens": 1_000,
        f"{acme}exact.nano": 2_500_000_000,
        f"{acme}read.calls": 1,
        f"{acme}read.tokens": 800,
        f"{acme}read.nano": 1,
        f"{acme}write.nano": 250_000_000,
        f"{acme}storage.byte_hours": 730 * 10**9,
        f"{evil}exact.calls": 2,
        f"{evil}exact.unpriced": 2,
        f"{evil}exact.unpriced_tokens": 60,
        f"|day|{today()}||embed|" + "|embedding.pico": 1_500,
        "|month|1999-12|acme|gpt-4|/v1/x|exact.nano": 7,
    }


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ASKONCE_GATEWAY__PORT", str(probe.getsockname()[1]))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def store() -> None:
    runtime = SyncRuntime()
    made = open_store("sqlite:askonce.db", StoreContext(runtime.lock, runtime.now))
    run_sync(made.counters(counts()))
    run_sync(made.close())


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Run a gateway that serves savings; return the requests that it received."""
    asked: list[str] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = self.headers.get("authorization", "")
            asked.append(f"{self.path} {shown}".strip())
            found = savings_of_counters(counts(), date.fromisoformat(today()), 30)
            if not shown:
                found = found.nameless()
            self.send_response(200)
            self.end_headers()
            encode = msgspec.json.Encoder(decimal_format="number").encode
            self.wfile.write(encode(plain_savings(found)))

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("ASKONCE_GATEWAY__PORT", str(server.server_port))
    yield asked
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("store")
def test_the_table_says_where_dollars_come_from_and_go(run: Run) -> None:
    status, out, err = run("savings")
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "the same question 6 1,000 2 2.5000" in lines
    assert "provider's cache written 0 0 0 -0.2500" in lines
    assert "storage unpriced" in lines
    assert "saved 2.5000" in lines
    assert "cost -0.2500" in lines
    assert "net 2.2500" in lines
    assert lines[-1].endswith("(UTC), from sqlite:askonce.db")


@pytest.mark.usefixtures("store")
def test_by_tenant_and_a_price_for_storage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKONCE_LEDGER__STORAGE_PRICE", "0.1")
    status, out, _ = run("savings", "--by", "tenant")
    assert status == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:-1]}
    assert rows["acme"] == ["4", "1,000", "0", "0.0000", "2.5000", "0.3500", "2.1500"]
    assert rows["=1+1"] == ["2", "0", "2", "0.0000", "0.0000", "0.0000", "0.0000"]
    assert rows["all"] == ["6", "1,000", "2", "0.0000", "2.5000", "0.3500", "2.1500"]
    out = run("savings", "--by", "model")[1]
    assert "\x1b" not in out


@pytest.mark.usefixtures("store")
def test_csv_has_every_number_and_no_formula(run: Run) -> None:
    status, out, _ = run("savings", "--csv")
    assert status == 0
    assert "\x1b" not in out
    rows = list(csv.DictReader(StringIO(out)))
    assert {row["tenant"] for row in rows} == {"acme", "'=1+1", ""}
    (acme,) = [row for row in rows if row["tenant"] == "acme"]
    assert acme["read.usd"] == "0.000000001"
    assert acme["saved_usd"] == "2.500000001"
    assert acme["storage_usd"] == ""
    assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal("0.2500000015")
    by = list(csv.DictReader(StringIO(run("savings", "--csv", "--by", "route")[1])))
    assert [row["route"] for row in by] == ["", "/v1/x"]


@pytest.mark.usefixtures("store")
def test_json(run: Run) -> None:
    report = json.loads(run("savings", "--json")[1])
    assert report["total"]["exact"] == {
        "calls": 6, "tokens": 1000, "usd": 2.5, "unpriced": 2, "unpriced_tokens": 60,
    }  # fmt: skip
    assert (report["until"], report["source"], len(report["lines"])) == (
        today(),
        "sqlite:askonce.db",
        3,
    )
    by = json.loads(run("savings", "--json", "--by", "day", "--days", "1")[1])
    assert [(line["day"], line["net_usd"]) for line in by["lines"]] == [(today(), 2.2499999995)]


@pytest.mark.usefixtures("store")
def test_old_months_are_there_for_who_asks_for_them(run: Run) -> None:
    report = json.loads(run("savings", "--json", "--days", "36500")[1])
    assert {line["day"] for line in report["lines"]} == {"1999-12", today()}


@pytest.mark.usefixtures("store")
def test_the_picture(run: Run, tmp_path: Path) -> None:
    status, out, err = run("savings", "--plot", "saved.png", "--days", "36500")
    assert (status, err) == (0, "askonce: wrote saved.png\n")
    assert "net" in out
    assert (tmp_path / "saved.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("store")
def test_no_picture_where_it_cannot_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, said in (("saved.svg", "ends in .png"), ("no/where.png", "folder is not there")):
        status, out, err = run("savings", "--plot", name)
        assert (status, out) == (2, "")
        assert said in err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = run("savings", "--plot", "saved.png")
    assert (status, out) == (2, "")
    assert err == "askonce: --plot needs matplotlib; run: pip install 'askonce[eval]'\n"


def test_a_gateway_is_asked_with_the_token(
    run: Run, requests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASKONCE_ADMIN__TOKEN", TOKEN)
    answer = json.loads(run("savings", "--json", "--by", "tenant", "--days", "7")[1])
    assert requests == [f"/askonce/savings?days=7 Bearer {TOKEN}"]
    assert [line["tenant"] for line in answer["lines"]] == ["", "=1+1", "acme"]
    assert answer["total"]["read"]["usd"] == 1e-9
    assert answer["source"].startswith("http://127.0.0.1:")


@pytest.mark.usefixtures("requests")
def test_a_gateway_without_a_token_shows_sums_and_the_store_names(
    run: Run, request: pytest.FixtureRequest
) -> None:
    status, out, _ = run("savings")
    assert status == 0
    assert "from http://127.0.0.1:" in out
    status, out, err = run("savings", "--by", "tenant")
    assert (status, out) == (1, "")
    assert "names tenants only where [admin] has a token" in err
    assert json.loads(run("savings", "--json")[1])["lines"][0]["tenant"] == ""
    request.getfixturevalue("store")
    status, out, _ = run("savings", "--by", "tenant")
    assert status == 0
    assert "acme" in out
    assert "from sqlite:askonce.db" in out


def test_neither_a_gateway_nor_a_store(run: Run) -> None:
    status, out, err = run("savings")
    assert (status, out) == (1, "")
    assert err.startswith("askonce: no gateway answers at http://127.0.0.1:")
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [("--days", "0"), ("--days", "x"), ("--by", "moon"), ("--csv", "--json")],
)
def test_what_cannot_be_meant(run: Run, arguments: tuple[str, ...]) -> None:
    status, out, err = run("savings", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
