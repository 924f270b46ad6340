"""The files in `deploy/` agree with the program: its settings, ports, paths, routes and metrics.

No container is started here. What is only parsed and compared is said in docs/guides/operating.md.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from askonce import __version__
from askonce.config import load
from askonce.core.models import Outcome, Reason
from askonce.gateway.metrics import Latencies, metrics
from askonce.ledger.ledger import LayerStats, Stats
from tests.deploy.plain_yaml import documents
from tests.docs.pages import ROOT, read, rows, words

DEPLOY = ROOT / "deploy"
IMAGE = f"askonce:{__version__}"
SETTINGS_FILE = "/etc/askonce/askonce.toml"


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> Any:
    (found,) = documents(text_of("compose.yaml"))
    return found["services"]


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    return {found["kind"]: found for found in documents(text_of("kubernetes.yaml"))}


@pytest.fixture(scope="module")
def pod(kubernetes: dict[str, Any]) -> Any:
    return kubernetes["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def rules() -> list[Any]:
    (found,) = documents(text_of("alerts.yml"))
    (group,) = found["groups"]
    return list(group["rules"])


def dockerfile() -> dict[str, list[str]]:
    """The instructions, joined to one line each, by their names."""
    text = re.sub(r"\\\n", " ", text_of("Dockerfile"))
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name.isupper():
            found.setdefault(name, []).append(" ".join(rest.split()))
    return found


# Docker


def test_the_image_has_every_store_and_runs_without_a_named_user() -> None:
    image = dockerfile()
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = re.search(r"\.\[(.+?)\]", " ".join(image["RUN"]))

    assert extras is not None
    assert {"gateway", "redis", "postgres", "semantic"} == set(extras[1].split(","))
    assert "./packages/askonce-models" in " ".join(image["RUN"])
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
    assert image["USER"] == ["10001:10001"]
    assert image["CMD"][0].startswith(f'["serve", "--config", "{SETTINGS_FILE}"]')
    copied = [source for line in image["COPY"] for source in line.split()[:-1]]
    assert all((ROOT / path).exists() for path in copied if not path.startswith(("--", "/")))


def test_the_image_copies_enough_to_build_the_wheel(tmp_path: Path) -> None:
    for line in dockerfile()["COPY"]:
        *sources, target = line.split()
        if not line.startswith("--"):
            for source in sources:
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, tmp_path / target)

    command = [sys.executable, "-m", "hatchling", "build", "--target=wheel"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_settings_of_compose_name_its_redis_and_its_port(compose: Any) -> None:
    loaded = load.load(text_of("askonce.toml"), {})

    assert loaded.gateway.host == "0.0.0.0"
    assert [layer.name for layer in loaded.layers] == ["memory", "redis"]
    assert loaded.shared_url == loaded.semantic.index == "redis://redis:6379/0"
    assert f"127.0.0.1:{loaded.gateway.port}:{loaded.gateway.port}" in compose["gateway"]["ports"]
    assert str(loaded.gateway.port) in dockerfile()["EXPOSE"]
    assert f"127.0.0.1:{loaded.gateway.port}/healthz" in dockerfile()["HEALTHCHECK"][0]
    assert set(compose["redis"]["networks"]) <= set(compose["gateway"]["networks"])


def test_compose_mounts_files_that_exist_and_builds_the_image_of_this_version(
    compose: Any,
) -> None:
    mounts = [line.split(":") for service in compose.values() for line in service["volumes"]]
    files = [mount for mount in mounts if mount[0].startswith("./")]

    assert all((DEPLOY / source).is_file() and mode == "ro" for source, _, mode in files)
    assert compose["gateway"]["image"] == IMAGE
    assert (DEPLOY / compose["gateway"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / compose["gateway"]["build"]["dockerfile"]).is_file()
    targets = {target for _, target, _ in files}
    assert SETTINGS_FILE in targets
    assert compose["redis"]["command"][-1] in targets
    assert compose["prometheus"]["image"] == "prom/prometheus"


def test_a_stopping_gateway_is_given_the_time_to_drain(compose: Any, pod: Any) -> None:
    drain = load.load("", {}).gateway.drain.total_seconds()
    unit = re.search(r"^TimeoutStopSec=(\d+)s$", text_of("askonce.service"), re.MULTILINE)

    assert unit is not None
    for seconds in (compose["gateway"]["stop_grace_period"][:-1], unit[1]):
        assert int(seconds) > drain
    sleep = int(pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"])
    assert int(pod["terminationGracePeriodSeconds"]) > drain + sleep


# Kubernetes


def test_kubernetes_has_what_a_deployment_needs(kubernetes: dict[str, Any], pod: Any) -> None:
    (gateway,) = pod["containers"]
    labels = kubernetes["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert gateway["image"] == IMAGE
    assert int(kubernetes["Deployment"]["spec"]["replicas"]) == 3
    assert int(kubernetes["PodDisruptionBudget"]["spec"]["minAvailable"]) < 3
    selectors = [kubernetes[kind]["spec"]["selector"] for kind in ("Deployment", "Service")]
    assert selectors == [{"matchLabels": labels}, labels]
    assert kubernetes["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    (port,) = gateway["ports"]
    assert kubernetes["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert gateway[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}


def test_kubernetes_hands_over_settings_that_load(kubernetes: dict[str, Any], pod: Any) -> None:
    (gateway,) = pod["containers"]
    secret = kubernetes["Secret"]["stringData"]
    loaded = load.load(kubernetes["ConfigMap"]["data"]["askonce.toml"], secret)

    assert str(loaded.gateway.port) == gateway["ports"][0]["containerPort"]
    assert loaded.shared_url == secret["ASKONCE_LAYERS__REDIS__URL"]
    assert gateway["args"] == ["serve", "--config", SETTINGS_FILE]
    assert gateway["volumeMounts"][0]["mountPath"] == str(Path(SETTINGS_FILE).parent)
    assert pod["volumes"][0]["configMap"]["name"] == kubernetes["ConfigMap"]["metadata"]["name"]
    assert gateway["envFrom"][0]["secretRef"]["name"] == kubernetes["Secret"]["metadata"]["name"]


def test_pods_may_do_nothing_that_they_need_not(pod: Any) -> None:
    (gateway,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] == "true"
    assert gateway["securityContext"]["readOnlyRootFilesystem"] == "true"
    assert gateway["securityContext"]["allowPrivilegeEscalation"] == "false"
    assert gateway["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # Kubernetes would set ASKONCE_GATEWAY_PORT for a service of that name: a wrong setting.
    assert pod["enableServiceLinks"] == "false"


# Prometheus


def exposed() -> set[str]:
    """The names of all samples that a gateway with a layer exposes."""
    latencies = Latencies()
    latencies.add(Outcome.MISS, 1.0)
    gauges = {"memory_bytes": ("", 0), "flights": ("", 0)}
    stats = Stats(
        reasons={Reason.NOT_FOUND: 1},
        not_stored={Reason.LENGTH: 1},
        layers={"redis": LayerStats(1, 1, 1, "closed")},
    )
    exposition = metrics(stats, latencies, gauges, {"shop": "following"})
    return set(re.findall(r"^(\w+)", exposition.decode(), re.MULTILINE))


def test_rules_ask_for_metrics_and_words_that_exist(rules: list[Any]) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    samples = exposed() | recorded | {"up"}
    known: dict[str, set[str]] = {
        "outcome": set(Outcome),
        "because": set(Reason),
        "job": {"askonce"},
    }

    for rule in rules:
        expression = rule["expr"]
        bare = re.sub(r"\{.*?\}", "", expression)
        assert set(re.findall(r"\b(?:askonce[\w:]+|up\b)", bare)) <= samples, expression
        for label, _, values in re.findall(r'(\w+)(=~|!=|=)"(.*?)"', expression):
            assert set(values.split("|")) <= known[label], expression
        assert expression.count("(") == expression.count(")")


def test_alerts_say_how_bad_it_is_and_the_page_says_what_to_do(rules: list[Any]) -> None:
    alerts = [rule for rule in rules if "alert" in rule]

    for alert in alerts:
        assert re.fullmatch(r"\d+[mh]", alert["for"])
        assert alert["labels"]["severity"] in ("page", "look")
        assert alert["annotations"]["summary"].endswith(".")
    explained = [
        word for row in rows("docs/guides/operating.md", "alert") for word in words(row[0])
    ]
    assert explained == [alert["alert"] for alert in alerts]


def test_prometheus_finds_the_gateway_and_the_rules(compose: Any) -> None:
    (config,) = documents(text_of("prometheus.yml"))
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    targets = {line.split(":")[1] for line in compose["prometheus"]["volumes"]}

    assert job["job_name"] == "askonce"
    assert found["names"] == ["gateway"]
    assert set(found["names"]) <= set(compose)
    assert found["port"] == str(load.load("", {}).gateway.port)
    assert set(config["rule_files"]) <= targets
    assert set(compose["prometheus"]["networks"]) & set(compose["gateway"]["networks"])


# systemd


def test_the_unit_starts_what_exists_where_it_may_write(tmp_path: Path) -> None:
    unit = text_of("askonce.service")

    assert f"ExecStart=/opt/askonce/bin/askonce serve --config {SETTINGS_FILE}\n" in unit
    assert "StateDirectory=askonce\n" in unit
    assert "WorkingDirectory=/var/lib/askonce\n" in unit
    named = re.findall(r"\bASKONCE_\w+", unit)
    assert load.load("", dict.fromkeys(named, "redis://localhost")).origins


@pytest.mark.needs(shutil.which("systemd-analyze"))
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # The program is looked for: here it is the one of this environment.
    program = Path(sys.executable).with_name("askonce")
    unit = tmp_path / "askonce.service"
    unit.write_text(text_of("askonce.service").replace("/opt/askonce/bin/askonce", str(program)))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_files_name_plain_images_and_no_other_place() -> None:
    everything = "".join(path.read_text() for path in DEPLOY.iterdir())
    images = re.findall(r"^(?:FROM|\s+image:) (\S+)", everything, re.MULTILINE)

    assert set(images) == {"python:3.13-slim", "redis:8", "prom/prometheus", IMAGE}
    assert not re.search(r"https?://(?!127\.0\.0\.1)", everything)
