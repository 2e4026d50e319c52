"""Pages of a store: what they answer, whom, and how they behave in a real browser."""

from __future__ import annotations

import html
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from command_line import assert_one_line, command_line, run
from recordings import recorded

from astraguard_store import LatencyCollector, Provenance, RunRepository, Unit

pytest.importorskip("starlette", reason="the extra `web` isn't installed")
pytest.importorskip("httpx2", reason="starlette's test client needs httpx2")

from starlette.testclient import TestClient

from astraguard_store.over_time import over_time
from astraguard_store.quantile_changes import quantile_changes
from astraguard_store.web.app import make_app

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>"
HOSTILE_ID = "a & 'b'"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGES = (
    *("/", "/?state=finished", "/running", "/run/run_00", "/run/hostile", "/run/live"),
    "/compare?run=run_00&run=run_28&run=run_29",
    f"/compare?{urlencode({'baseline': HOSTILE, 'run': 'run_29'})}",
    *("/history", f"/history?{urlencode({'baseline': HOSTILE})}"),
    "/sql",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give thirty runs, and one that measured something hostile."""
    results = tmp_path_factory.mktemp("web") / "results"
    with RunRepository.open(results) as repository:
        for number in range(30):
            repository.save(
                f"run_{number:02}",
                recorded(100, scale=1.0 if number < 20 else 1.5),
                provenance=Provenance(scenario="swarm" if number % 2 else "solo"),
            )
        collector = LatencyCollector()
        collector.record_fault_detection(HOSTILE, 0.0, 4.0)
        collector.record_missed("fault_detection", HOSTILE, 1.0, 900.0)
        repository.save(
            "hostile",
            collector,
            provenance=Provenance(scenario=HOSTILE, rig="javascript:alert(1)"),
            tags={HOSTILE: HOSTILE},
        )
        attached = tmp_path_factory.mktemp("attached") / "console.log"
        attached.write_text("ready")
        provenance = Provenance(units={HOSTILE: Unit(serial=HOSTILE)})
        with repository.run("live", provenance=provenance) as run:
            run.record_fault_detection("SAT001", 0.0, 4.0)
            run.attach(attached, name="<b>console.log")
        repository.set_baseline(HOSTILE, [f"run_{number:02}" for number in range(1, 20, 2)])
    return results


@pytest.fixture
def client(store: Path) -> Iterator[Any]:
    """Give a client of the pages."""
    with RunRepository.open(store, read_only=True) as repository:
        yield TestClient(make_app(repository))


class TestAnswers:
    """What is answered."""

    @pytest.mark.parametrize("url", PAGES)
    def test_every_page_has_its_data_as_json(self, client: Any, url: str) -> None:
        page, data = client.get(url), client.get(f"/json{url}")

        assert (page.status_code, data.status_code) == (200, 200)
        assert page.headers["content-type"].startswith("text/html")
        assert isinstance(data.json(), dict)

    @pytest.mark.parametrize("url", PAGES)
    def test_nothing_hostile_is_more_than_text(self, client: Any, url: str) -> None:
        page = client.get(url).text

        assert "<script" not in page
        assert "<img" not in page
        assert 'href="javascript' not in page

    @pytest.mark.parametrize("url", [*PAGES, "/run/missing", "/style.css", "/nowhere"])
    def test_every_answer_has_a_strict_policy(self, client: Any, url: str) -> None:
        headers = client.get(url).headers

        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
    def test_only_reading_is_possible(self, client: Any, method: str) -> None:
        assert [getattr(client, method)(url).status_code for url in PAGES] == [405] * len(PAGES)

    def test_runs_are_filtered_and_paged(self, client: Any) -> None:
        first = client.get("/json/?scenario=swarm").json()
        newest = client.get("/json/").json()
        older = client.get(f"/json/?before={newest['next']}").json()

        assert len(first["runs"]) == 15
        assert len(newest["runs"]) == 25
        assert [header["run_id"] for header in older["runs"]][-1] == "run_00"
        assert older["next"] is None

    def test_a_state_that_is_none_is_refused(self, client: Any) -> None:
        answer = client.get("/?state=lost")

        assert answer.status_code == 400
        assert "one of running" in answer.text

    def test_a_run_shows_its_machine_its_units_and_what_is_attached(self, client: Any) -> None:
        page = client.get("/run/live").text

        assert "What else the machine did" in page
        assert "&lt;b&gt;console.log" in page
        assert "Which hardware each satellite was" in page

    def test_a_baseline_judges(self, client: Any) -> None:
        asked = {"baseline": HOSTILE, "run": "run_29"}

        page, data = (
            client.get("/compare", params=asked),
            client.get("/json/compare", params=asked),
        )

        assert data.json()["verdict"]["baseline_name"] == HOSTILE
        assert page.text.index('class="headline"') < page.text.index("What changed in run_29")

    def test_a_run_has_its_latencies_over_time_in_json(self, client: Any, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            expected = over_time(repository, "hostile", 60)["fault_detection"]

        found = client.get("/json/run/hostile").json()["over_time"]["fault_detection"]

        assert [(one["start_s"], one["end_s"]) for one in found] == [
            (one.start_s, one.end_s) for one in expected
        ]
        keys = ("number", "missed", "p50_ms", "p50_above_ms", "p95_ms", "p95_above_ms")
        assert [tuple(one[key] for key in keys) for one in found] == [
            (0, 0, 4.0, None, 4.0, None),
            (59, 1, None, 900.0, None, 900.0),
        ]

    def test_a_run_without_measurements_has_none_over_time(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path / "results") as repository:
            repository.save("run", recorded(20))
            (tmp_path / "results" / "run" / "latency_raw.csv").unlink()

            data = TestClient(make_app(repository)).get("/json/run/run").json()

        assert data["over_time"] == {}

    def test_a_comparison_has_its_differences_by_quantile_in_json(
        self, client: Any, store: Path
    ) -> None:
        run_ids = ["run_00", "run_28", "hostile"]
        with RunRepository.open(store, read_only=True) as repository:
            baseline, *others = map(repository.get, run_ids)
            distribution = repository.distribution("fault_detection", run_ids)
            (expected, few) = quantile_changes(distribution, baseline, others)

        shape = client.get("/json/compare", params={"run": run_ids}).json()

        data = shape["differences"]
        assert data["fault_detection"] == [
            {
                "candidate": "run_28",
                "changes": [change._asdict() for change in expected.changes],
            },
            {"candidate": "hostile", "changes": []},
        ]
        assert (len(expected.changes) > 5, few.changes) == (True, ())
        assert [one["candidate"] for one in data["agent_decision"]] == ["run_28"]
        drawn = shape["distributions"]["fault_detection"]
        assert [one["run_id"] for one in drawn] == run_ids
        assert [
            [(point["duration_ms"], point["share"]) for point in one["points"]] for one in drawn
        ] == [run.cumulative() for run in distribution.runs]
        assert drawn[2]["missed"] == 1

    def test_a_list_of_runs_has_in_json_what_it_shows(self, client: Any, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            run = repository.get("run_28")

        data = client.get("/json/", params={"metric": "fault_detection"}).json()

        [listed] = [one for one in data["runs"] if one["run_id"] == "run_28"]
        assert data["metric_type"] == "fault_detection"
        assert listed["p95_ms"] == run.metrics["fault_detection"].p95
        assert (listed["scenario"], listed["tags"]) == (run.provenance.scenario, dict(run.tags))

    def test_a_run_has_its_distributions_in_json(self, client: Any, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            [expected] = repository.distribution("fault_detection", ["hostile"]).runs

        [found] = client.get("/json/run/hostile").json()["distributions"]["fault_detection"]

        assert (found["events"], found["missed"]) == (expected.events, expected.missed)
        assert len(found["points"]) == len(expected.cumulative())

    def test_a_history_is_held_against_a_baseline(self, client: Any) -> None:
        asked = {"by": "scenario", "baseline": HOSTILE}

        page = client.get("/history", params=asked).text
        data = client.get("/json/history", params=asked).json()["baseline"]

        assert data["name"] == HOSTILE
        assert [band["group"] for band in data["bands"]] == ["swarm"]
        assert page.count("<rect") == 1
        # In the middle it is shortened.
        assert f"scenario swarm: baseline {html.escape(HOSTILE[:20])}" in page
        assert "<rect" not in client.get("/history").text

    def test_a_baseline_that_is_not_there_is_refused(self, client: Any) -> None:
        answer = client.get("/history?baseline=weekly")

        assert answer.status_code == 400
        assert "no baseline &#x27;weekly&#x27;" in answer.text

    def test_names_stand_for_runs(self, client: Any) -> None:
        assert client.get("/json/run/latest").json()["run_id"] == "live"

    def test_a_run_that_is_not_there_is_404(self, client: Any) -> None:
        assert client.get("/run/missing").status_code == 404

    @pytest.mark.parametrize("number", [1, 5])
    def test_two_to_four_runs_are_compared(self, client: Any, number: int) -> None:
        query = "&".join(f"run=run_{n:02}" for n in range(number))

        answer = client.get(f"/compare?{query}")

        assert answer.status_code == 400
        assert "2 to 4" in answer.text

    @pytest.mark.parametrize(
        "sql",
        ["DELETE FROM runs", "ATTACH 'x' AS y", "SELECT 1; SELECT 2", "PRAGMA user_version=7"],
    )
    def test_sql_that_writes_is_refused(self, client: Any, sql: str) -> None:
        assert "error" in client.get("/json/sql", params={"sql": sql}).json()

    def test_sql_that_reads_is_answered(self, client: Any) -> None:
        answer = client.get("/json/sql", params={"sql": "SELECT count(*) AS n FROM v_runs"}).json()

        assert (answer["columns"], answer["rows"]) == (["n"], [[32]])

    def test_run_folders_answer_too(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree, read_only=True) as repository:
            client = TestClient(make_app(repository))

            assert client.get("/").status_code == 200
            assert client.get("/run/latest").status_code == 200


class TestRunning:
    """Runs while they are recorded."""

    def test_what_runs_is_listed_and_asked_for_again(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            client = TestClient(make_app(repository))
            with repository.run(HOSTILE_ID, tags={"who": HOSTILE}):
                page, data = client.get("/running"), client.get("/json/running")
                of_run = client.get(f"/run/{HOSTILE_ID}").text
            after = client.get("/running", params={"run": HOSTILE_ID})

        assert page.headers["refresh"] == "3"
        assert "<b>" not in page.text
        assert [run["state"] for run in data.json()["runs"]] == ["running"]
        assert f'<iframe src="/running?{urlencode({"run": HOSTILE_ID})}"' in of_run
        assert "refresh" not in after.headers
        assert "The run is finished" in after.text

    def test_where_nothing_runs_it_looks_again(self, client: Any) -> None:
        page = client.get("/running")

        assert "No run is being recorded" in page.text
        assert page.headers["refresh"] == "3"


class TestAttachments:
    """Files that were attached, to be saved."""

    NAMES = (
        "console.log",
        "<b>console.log",
        'a "quoted" name; filename=evil.html',
        "line\r\nSet-Cookie: evil=1",
        "page.html",
        "größe 🛰.bin",
        "javascript:alert(1)",
        "..",
    )

    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        """Give a store with a run that has an attachment by each of these names but the last."""
        with RunRepository.open(tmp_path / "results") as repository:
            source = tmp_path / "source"
            source.write_bytes(b"<script>1</script>" * 200_000)
            with repository.run("run") as run:
                run.record_fault_detection("SAT1", 0.0, 1.0)
                for name in self.NAMES[:-1]:
                    run.attach(source, name=name)
        return tmp_path / "results"

    @staticmethod
    def asked(store: Path, name: str, **headers: str) -> Any:
        with RunRepository.open(store, read_only=True) as repository:
            url = f"/run/run/attached/{quote(name, safe='')}"
            return TestClient(make_app(repository)).get(url, headers=headers)

    @pytest.mark.parametrize("name", NAMES[:-1])
    def test_it_comes_as_it_was_to_be_saved(self, files: Path, name: str) -> None:
        answer = self.asked(files, name)

        assert answer.status_code == 200
        assert answer.content == b"<script>1</script>" * 200_000
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-length"] == str(len(answer.content))
        disposition = answer.headers["content-disposition"]
        assert disposition == f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        assert "set-cookie" not in answer.headers

    def test_the_page_links_to_each(self, files: Path) -> None:
        with RunRepository.open(files, read_only=True) as repository:
            client = TestClient(make_app(repository))
            links = re.findall(r'href="(/run/run/attached/[^"]*)"', client.get("/run/run").text)

            answers = [client.get(html.unescape(link)) for link in links]

        assert [answer.status_code for answer in answers] == [200] * len(self.NAMES[:-1])

    @pytest.mark.parametrize(
        "name", ["..", "missing", "../latency_summary.json", "%2e%2e", ".", "a/b", "\udc80"]
    )
    def test_any_other_name_is_no_file(self, files: Path, name: str) -> None:
        with RunRepository.open(files, read_only=True) as repository:
            url = f"/run/run/attached/{quote(name, safe='', errors='surrogatepass')}"
            answer = TestClient(make_app(repository)).get(url)

        # `..` is taken out of a path by whoever asks, and what is left is the page of the run.
        assert answer.headers.get("content-type") != "application/octet-stream"

    def test_a_link_is_not_followed(self, files: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        attached = files / "run" / "attachments" / "console.log"
        elsewhere.write_bytes(attached.read_bytes())
        attached.unlink()
        attached.symlink_to(elsewhere)

        answer = self.asked(files, "console.log")

        assert (answer.status_code, "can&#x27;t be read" in answer.text) == (404, True)

    @pytest.mark.parametrize("depth", ["run", "run/attachments"])
    def test_a_folder_that_is_a_link_is_not_followed(
        self, files: Path, tmp_path: Path, depth: str
    ) -> None:
        folder = files / depth
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")

        assert self.asked(files, "console.log").status_code == 404

    def test_a_named_pipe_is_none(self, files: Path) -> None:
        attached = files / "run" / "attachments" / "console.log"
        attached.unlink()
        os.mkfifo(attached)

        assert self.asked(files, "console.log").status_code == 404

    def test_one_that_was_changed_is_not_handed_out(self, files: Path) -> None:
        attached = files / "run" / "attachments" / "console.log"
        attached.write_bytes(b"another")

        answer = self.asked(files, "console.log")

        assert answer.status_code == 404
        assert "was changed since it was attached" in answer.text

    def test_no_file_stays_open(self, files: Path) -> None:
        with RunRepository.open(files, read_only=True) as repository:
            client = TestClient(make_app(repository))
            client.get("/run/run/attached/console.log")
            before = len(os.listdir("/proc/self/fd"))

            for _ in range(10):
                client.head("/run/run/attached/console.log")
                client.get("/run/run/attached/console.log")

            assert len(os.listdir("/proc/self/fd")) <= before

    def test_it_needs_the_token(self, files: Path) -> None:
        with RunRepository.open(files, read_only=True) as repository:
            client = TestClient(make_app(repository, token="secret"))
            url = "/run/run/attached/console.log"

            without, with_token = client.get(url), client.get(f"{url}?token=secret")

        assert (without.status_code, with_token.status_code) == (401, 200)


class TestWhoMayAsk:
    """A token, and the names of this server."""

    def test_with_a_token_nobody_else_is_answered(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            client = TestClient(make_app(repository, token="correct horse battery"))

            assert client.get("/").status_code == 401
            assert client.get("/?token=wrong").status_code == 401
            bearer = {"Authorization": "Bearer correct horse battery"}
            assert client.get("/", headers=bearer).status_code == 200
            assert client.get("/?token=correct horse battery").status_code == 200
            assert client.get("/").status_code == 200, "the cookie is enough now"

    def test_another_name_is_refused(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            client = TestClient(make_app(repository, hosts=("127.0.0.1",)))

            assert client.get("/", headers={"host": "evil.example"}).status_code == 400

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--host", "0.0.0.0"], "--token auto"),
            (["--host", "0.0.0.0", "--token", "short"], "16 characters"),
            (["--host", "example.org"], "--token auto"),
        ],
    )
    def test_another_address_needs_a_token(self, store: Path, words: list[str], said: str) -> None:
        result = run("serve", *words, "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, said)

    @pytest.mark.parametrize(
        ("host", "name"),
        [("127.0.0.2", "127.0.0.2"), ("::1", "[::1]"), ("localhost", "localhost")],
    )
    def test_the_address_that_is_printed_is_answered(
        self, store: Path, host: str, name: str
    ) -> None:
        token = "a token & its #end+"
        with (
            serving(store, "--host", host, "--token", token) as url,
            urllib.request.urlopen(url, timeout=10) as answer,
        ):
            page = answer.read()

        assert url.startswith(f"http://{name}:")
        assert b"run_29" in page

    def test_an_empty_token_is_none(self, store: Path) -> None:
        with (
            serving(store, "--token", "") as url,
            urllib.request.urlopen(url, timeout=10) as answer,
        ):
            assert answer.status == 200


@contextmanager
def serving(store: Path, *words: str) -> Iterator[str]:
    """Give the URL that `serve` prints, while it runs."""
    pytest.importorskip("uvicorn", reason="the extra `web` isn't installed")
    host = words[1] if words[0] == "--host" else "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as found:
        try:
            found.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        port = found.getsockname()[1]
    called = command_line("serve", *words, "--port", str(port), "--results", store)
    with subprocess.Popen(called, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split("  ")[0]
        try:
            _wait_for(family, host, port)
            yield url
        finally:
            process.terminate()


def _wait_for(family: int, host: str, port: int) -> None:
    until = time.monotonic() + 30
    while True:
        with socket.socket(family) as asking:
            if asking.connect_ex((host, port)) == 0:
                return
        assert time.monotonic() < until, "it doesn't listen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give a headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with api.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    """Give the address of a server of the pages."""
    uvicorn = pytest.importorskip("uvicorn", reason="the extra `web` isn't installed")
    with RunRepository.open(store, read_only=True) as repository:
        config = uvicorn.Config(make_app(repository), port=0, log_level="error", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


class TestBrowser:
    """In a real Chromium."""

    @pytest.mark.parametrize("width", [400, 1600])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_every_page_is_shown_without_an_error(
        self, browser: Any, address: str, width: int, scheme: str
    ) -> None:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        for url in PAGES:
            page.goto(address + url)

            assert "owned" not in page.title()
            wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            assert page.evaluate(wide), f"{url} is wider than {width} px"
        assert said == []
        assert {url for url in asked if not url.startswith((address, "data:"))} == set()
        page.close()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing(self, browser: Any, address: str, scheme: str) -> None:
        axe = pytest.importorskip(
            "axe_playwright_python.sync_playwright", reason="axe-core isn't installed"
        ).Axe()
        page = browser.new_page(color_scheme=scheme)
        found: list[str] = []

        for url in PAGES:
            page.goto(address + url)
            violations = axe.run(page).response["violations"]
            found += [f"{url}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in violations]

        assert found == []
        page.close()

    def test_axe_finds_nothing_in_a_report(
        self, browser: Any, store: Path, tmp_path: Path
    ) -> None:
        axe = pytest.importorskip(
            "axe_playwright_python.sync_playwright", reason="axe-core isn't installed"
        ).Axe()
        target = tmp_path / "report.html"
        words = ["report", "run_29", "run_27", "hostile", "--baseline", HOSTILE]
        assert run(*words, "--to", target, "--results", store).exit_code == 0
        page = browser.new_page()

        page.goto(target.as_uri())

        violations = axe.run(page).response["violations"]
        assert [f"{one['id']} {one['nodes'][0]['html'][:200]}" for one in violations] == []
        page.close()

    def test_what_is_ticked_stays_while_running_runs_are_drawn_anew(
        self, browser: Any, address: str, store: Path
    ) -> None:
        page = browser.new_page()
        with RunRepository.open(store) as repository, repository.run("under way"):
            page.goto(f"{address}/")
            page.get_by_label("compare run_29").check()
            frame = page.frame_locator("iframe")
            frame.get_by_role("link", name="under way").wait_for()
        with RunRepository.open(store) as repository:
            repository.delete("under way")
        frame.get_by_text("No run is being recorded").wait_for(timeout=20_000)

        assert page.get_by_label("compare run_29").is_checked()
        page.close()

    def test_two_runs_are_compared_by_clicks(self, browser: Any, address: str) -> None:
        page = browser.new_page()
        page.goto(f"{address}/")

        page.get_by_label("compare run_29").check()
        page.get_by_label("compare run_28").check()
        page.get_by_role("button", name="Compare").click()

        assert page.get_by_role("heading", name="run_28 against run_29").count() == 1
        page.close()

    def test_a_filter_and_a_run_work_by_keyboard_alone(self, browser: Any, address: str) -> None:
        page = browser.new_page()
        page.goto(f"{address}/")

        page.keyboard.press("Tab")
        while page.evaluate("document.activeElement.name") != "scenario":
            page.keyboard.press("Tab")
        page.keyboard.type("solo")
        page.keyboard.press("Enter")
        page.wait_for_url("**scenario=solo**")
        while page.evaluate("document.activeElement.textContent") != "run_28":
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")

        page.get_by_role("heading", name="Run run_28").wait_for()
        page.close()


class TestServer:
    """Pages of runs that were pushed to a PostgreSQL server."""

    @pytest.mark.parametrize("page", PAGES)
    def test_each_page_is_answered(self, store: Path, server_url: str, page: str) -> None:
        with RunRepository.open(store) as rig:
            rig.push(server_url)
        with RunRepository.open(server_url, read_only=True) as repository:
            client = TestClient(make_app(repository))

            answer = client.get(page)

        assert answer.status_code == 200, answer.text
        assert "<script" not in answer.text
        assert "run_29" in answer.text or page not in {"/", "/history"}
