"""Files for machines and clusters: accepted by those who read them, and naming what exists. No Docker, no cluster."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
COMMANDS = (PROJECT / "docs" / "commands.md").read_text("utf-8")
"""Generated from the commands, and held to them by `make lint`."""
COMPOSED = {
    "compose.yaml": ("compose.yaml",),
    "compose.observability.yaml": ("compose.yaml", "compose.observability.yaml"),
    "compose.avatars.yaml": ("compose.yaml", "compose.avatars.yaml"),
    "compose.tensorrt.yaml": ("compose.yaml", "compose.tensorrt.yaml"),
    "compose.kafka.yaml": ("compose.kafka.yaml",),
}
KUSTOMIZED = sorted(str(path.parent.relative_to(DEPLOY)) for path in DEPLOY.rglob("kustomization.yaml"))
SERVER_PORTS = {8000, 8001, 8002, 8003}
OTHERS_PORTS = {53, 80, 443}
"""Names' and web's."""


def run(*command, stdin=None, **environment):
    tool = shutil.which(command[0], path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if tool is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        [tool, *map(str, command[1:])],
        input=stdin,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def composed(name):
    files = [word for file in COMPOSED[name] for word in ("-f", DEPLOY / file)]
    return yaml.safe_load(run("docker-compose", *files, "config", FACES_TOKEN="t", HOME="/nowhere"))


def kustomized(name):
    return run("kubectl", "kustomize", DEPLOY / name, HOME="/nowhere")


def documents(text):
    return [found for found in yaml.safe_load_all(text) if found]


def all_documents():
    found = [document for name in KUSTOMIZED for document in documents(kustomized(name))]
    return found + documents((DEPLOY / "kserve" / "emotalk.yaml").read_text())


def containers(document):
    spec = document.get("spec", {})
    return spec.get("containers") or spec.get("template", {}).get("spec", {}).get("containers", [])


def options_of(command):
    section = re.search(rf"^#+ `?{command}`?\n(.*?)(?=^#+ |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)[1]
    return set(re.findall(r"--[a-z0-9-]+", section))


def command_of(image, entrypoint=None):
    """The command that a container runs: its entrypoint, or its image's own."""
    if entrypoint:
        return " ".join(entrypoint[:2]) if entrypoint[0] == "emotalk" else entrypoint[0]
    if "gateway" in image:
        return "emotalk gateway"
    return "emotalk-server" if "triton" in image else None


def given(words):
    return {word.partition("=")[0] for word in words if str(word).startswith("--")}


# Accepted by their readers ---------------------------------------------------------------------


@pytest.mark.parametrize("file", ["Dockerfile.triton", "deploy/Dockerfile.gateway"])
def test_dockerfiles_are_linted(file):
    run("hadolint", PROJECT / file)


@pytest.mark.parametrize("name", COMPOSED)
def test_compose_takes_them(name):
    assert composed(name)["services"]


@pytest.mark.parametrize("name", KUSTOMIZED)
def test_kubernetes_takes_them(name, tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text(kustomized(name))
    said = run("kubernetes-validate", "--strict", file)
    unknown = set(re.findall(r"Couldn't find schema for kind \w+ with api version (\S+)/", said))
    assert unknown <= {"monitoring.coreos.com", "keda.sh"}  # operators' own, whose schemas are theirs


def test_prometheus_takes_its_rules():
    run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


# Naming what exists ----------------------------------------------------------------------------


def test_options_in_compose_exist():
    seen = set()
    for name in COMPOSED:
        for service in composed(name)["services"].values():
            words = [*(service.get("entrypoint") or []), *(service.get("command") or [])]
            if service["image"].startswith("emotalk"):
                command = command_of(service["image"], service.get("entrypoint"))
                seen.add(command)
                assert given(words) <= options_of(command), words
    assert seen == {"emotalk gateway", "emotalk worker", "emotalk-server"}


def test_an_option_that_does_not_exist_would_be_found():
    assert "--broker" not in options_of("emotalk worker")


def test_the_workers_topics_are_made():
    services = composed("compose.kafka.yaml")["services"]
    words = " ".join(services["worker"]["command"])
    used = set(re.findall(r"--(?:topic|results|dead)=(\S+)", words))
    assert len(used) == 3
    assert used == set(re.findall(r"make (\S+) --partitions", services["topics"]["command"][0]))


def test_modules_that_health_checks_run_exist():
    text = "".join(path.read_text() for path in [PROJECT / "Dockerfile.triton", *DEPLOY.glob("*")] if path.is_file())
    modules = set(re.findall(r'"-m", "([\w.]+)"', text))
    assert modules
    for module in modules:
        assert (PROJECT / "ensemble" / Path(*module.split(".")).with_suffix(".py")).is_file()


def test_files_to_build_from_exist():
    for name in COMPOSED:
        for service in composed(name)["services"].values():
            if build := service.get("build"):
                assert (Path(build["context"]) / build["dockerfile"]).is_file()


@pytest.mark.parametrize("file", ["Dockerfile.triton", "deploy/Dockerfile.gateway"])
def test_extras_and_copied_files_exist(file):
    text = (PROJECT / file).read_text()
    extras = (PROJECT / "pyproject.toml").read_text("utf-8")
    for names in re.findall(r'"/src\[([a-z0-9,]+)\]"', text):
        for name in names.split(","):
            assert re.search(rf"^{name} = \[", extras, re.MULTILINE)
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in line.split()]
    assert len(copied) > 5
    assert [name for name in copied if not (PROJECT / name).exists()] == []


def test_the_servers_image_brings_what_its_models_import():
    # emotalk_live runs its graph in its own process.
    assert '"onnxruntime>=' in (PROJECT / "Dockerfile.triton").read_text("utf-8")


def test_options_in_kubernetes_exist():
    seen = set()
    for document in all_documents():
        for container in containers(document):
            command = command_of(container["image"])
            seen.add(command)
            assert given(container["args"]) <= options_of(command), container["args"]
    assert seen == {"emotalk gateway", "emotalk-server"}


def test_options_of_dockerfiles_exist():
    for file, command in (("Dockerfile.triton", "emotalk-server"), ("deploy/Dockerfile.gateway", "emotalk gateway")):
        entrypoint = re.search(r"^ENTRYPOINT (\[.*\])$", (PROJECT / file).read_text(), re.MULTILINE)[1]
        assert given(json.loads(entrypoint)) <= options_of(command)


def test_variables_are_the_gateways():
    from emotalk_gateway.service.settings import GatewaySettings

    prefix = GatewaySettings.model_config["env_prefix"]
    known = {f"{prefix}{name.upper()}" for name in GatewaySettings.model_fields}
    text = "".join(path.read_text() for path in DEPLOY.rglob("*.yaml"))
    named = set(re.findall(rf"{prefix}\w+", text))
    assert len(named) >= 2
    assert named <= known


def test_paths_of_probes_exist():
    from emotalk_server.probing import PATHS

    probes = [
        container[kind]["httpGet"]["path"]
        for document in all_documents()
        for container in containers(document)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    ]
    assert len(probes) >= 9
    assert set(probes) <= set(PATHS.values())


def test_only_the_first_truth_restarts():
    for document in all_documents():
        for container in containers(document):
            assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
            assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_ports_are_those_that_are_listened_on():
    from emotalk_server.cli import parser

    defaults = {parser().get_default(f"{name}_port") for name in ("http", "grpc", "metrics", "health")}
    assert defaults == SERVER_PORTS
    for document in documents(kustomized("kubernetes/base")):
        for port in re.findall(r"'?(?:port|containerPort)'?: (\d+)", json.dumps(document).replace('"', "'")):
            assert int(port) in SERVER_PORTS | {8080} | OTHERS_PORTS
    for target in re.findall(r'"(\w+:\d+)"', (DEPLOY / "prometheus" / "prometheus.yml").read_text()):
        assert target in ("server:8002", "gateway:8080")


def test_ports_that_services_name_exist():
    found = documents(kustomized("kubernetes/base"))
    named = {
        document["metadata"]["name"]: {port["name"] for c in containers(document) for port in c["ports"]}
        for document in found
        if document["kind"] == "Deployment"
    }
    services = [document for document in found if document["kind"] == "Service"]
    assert {service["metadata"]["name"] for service in services} == set(named)
    for service in services:
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named[service["metadata"]["name"]]


def test_figures_in_dashboards_and_rules_exist():
    from emotalk_gateway.kafka.metrics import Metrics as WorkerMetrics
    from emotalk_gateway.service.capacity import Capacity
    from emotalk_gateway.service.metrics import Metrics
    from emotalk_gateway.service.rate import HeldRate

    gateway = Metrics(Capacity("uploads", 1), Capacity("streams", 1), HeldRate())
    worker = WorkerMetrics()
    text = gateway.exposition().decode() + worker.exposition().decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    known = set(types) | {f"{name}_bucket" for name, kind in types.items() if kind == "histogram"}
    files = [
        DEPLOY / "grafana" / "emotalk.json",
        DEPLOY / "prometheus" / "rules.yml",
        *DEPLOY.rglob("scaledobject.yaml"),
    ]
    named = {name for file in files for name in re.findall(r"emotalk_(?:gateway|worker)_\w+", file.read_text())}
    assert len(named) >= 8
    assert named <= known


def test_files_that_are_mounted_exist():
    for name in COMPOSED:
        for service in composed(name)["services"].values():
            for volume in service.get("volumes") or []:
                if volume["type"] == "bind":
                    assert Path(volume["source"]).is_file(), volume


def test_plans_have_a_volume_where_the_server_builds_them_and_the_time_for_it():
    service = composed("compose.tensorrt.yaml")["services"]["server"]
    where = service["entrypoint"][service["entrypoint"].index("--plans") + 1]
    (volume,) = service["volumes"]
    assert (volume["type"], volume["target"]) == ("volume", where)
    found = documents(kustomized("kubernetes/overlays/tensorrt"))
    pod = next(d for d in found if d["kind"] == "Deployment" and d["metadata"]["name"] == "server")["spec"]["template"]
    (container,) = containers(pod)
    assert container["args"] == ["--profile", "tensorrt", "--plans", where]
    (name,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == where)
    claim = next(one for one in pod["spec"]["volumes"] if one["name"] == name)["persistentVolumeClaim"]["claimName"]
    claims = {
        (d["metadata"]["name"], d["metadata"]["namespace"]) for d in found if d["kind"] == "PersistentVolumeClaim"
    }
    assert claims == {(claim, "emotalk")}
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 3600
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_the_servers_image_has_a_folder_of_its_user_for_plans():
    from emotalk_server.cli import PLANS_VARIABLE

    text = (PROJECT / "Dockerfile.triton").read_text()
    where = re.search(rf"^ENV {PLANS_VARIABLE}=(\S+)$", text, re.MULTILINE)[1]
    owner = re.search(rf"install -d -o (\d+) -g \d+ {where}$", text, re.MULTILINE)[1]
    assert re.search(r"^USER (\d+)$", text, re.MULTILINE)[1] == owner


# Locked ----------------------------------------------------------------------------------------


def test_nothing_runs_as_root_or_writes_to_its_image():
    for document in all_documents():
        for container in containers(document):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
    services = composed("compose.yaml")["services"]
    for name in ("server", "gateway"):
        assert services[name]["read_only"] is True


def test_tritons_ports_stay_inside():
    services = composed("compose.observability.yaml")["services"]
    for name, service in services.items():
        published = {int(port["target"]) for port in service.get("ports") or []}
        assert not published & SERVER_PORTS, name
    policies = [d for d in documents(kustomized("kubernetes/base")) if d["kind"] == "NetworkPolicy"]
    server = next(d for d in policies if d["metadata"]["name"] == "server")
    assert all(rule.get("from") for rule in server["spec"]["ingress"])
