"""What lies in deploy/docker, deploy/kubernetes and deploy/systemd: whole, valid, and as closed as the docs say."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCKER = DEPLOY / "docker"
SYSTEMD = DEPLOY / "systemd"
KUBERNETES = DEPLOY / "kubernetes"
TOOLS = Path(sys.executable).parent
KINDS = ("site", "coordinator")
GATEWAY = 9443

CLOSED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "UMask": "0077",
    "LimitCORE": "0",
    "MemoryDenyWriteExecute": "yes",
    "LockPersonality": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictNamespaces": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateMounts": "yes",
    "ProtectProc": "invisible",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "Restart": "always",
}


def unit(kind: str) -> dict[str, list[str]]:
    """The [Service] section; a key that may be repeated is a list."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (SYSTEMD / f"hepafed-{kind}.service").read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def compose(kind: str) -> dict[str, Any]:
    """The one service of a compose file, as docker compose itself resolves it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HEPAFED_")}
    done = subprocess.run(
        [
            TOOLS / "docker-compose",
            *("-f", DOCKER / f"{kind}.compose.yaml", "--env-file", DOCKER / f"{kind}.env.example", "config"),
        ],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert list(services) == [kind]
    return dict(services[kind])


def manifests() -> list[dict[str, Any]]:
    return [
        document for path in sorted(KUBERNETES.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())
    ]


def pods() -> list[dict[str, Any]]:
    """The specification of every pod that the manifests make."""
    templates = [
        found["spec"]["template"] for found in manifests() if found["kind"] in ("StatefulSet", "Deployment")
    ]
    return [found["spec"] for found in (*templates, *(m for m in manifests() if m["kind"] == "Pod"))]


@pytest.mark.parametrize("kind", KINDS)
def test_units_hold_every_key_that_closes_them(kind: str) -> None:
    found = unit(kind)
    assert {key: found.get(key) for key in CLOSED} == {key: [value] for key, value in CLOSED.items()}
    assert found["SystemCallFilter"][0] == "@system-service"
    assert {"@privileged", "@resources", "@mount"} <= set(found["SystemCallFilter"][1].removeprefix("~").split())


@pytest.mark.parametrize("kind", KINDS)
def test_units_run_as_a_user_of_their_own(kind: str) -> None:
    users = re.findall(r"^u (\S+)", (SYSTEMD / "hepafed.sysusers.conf").read_text(), re.MULTILINE)
    assert unit(kind)["User"][0] in users
    assert unit(kind)["User"][0] != "root"


def test_the_hospitals_unit_writes_to_its_own_folder_alone() -> None:
    found = unit("site")
    assert found["ReadOnlyPaths"] == ["/srv/hepafed/hospital"]
    assert found["ReadWritePaths"] == ["/srv/hepafed/hospital/.hepafed"]
    assert "StateDirectory" not in found
    assert "ReadWritePaths" not in unit("coordinator")


@pytest.mark.parametrize("kind", KINDS)
def test_systemd_takes_the_units_and_finds_them_closed(kind: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    # The command is not installed where the units are checked; systemd looks for it.
    copied = tmp_path / f"hepafed-{kind}.service"
    written = (SYSTEMD / copied.name).read_text()
    copied.write_text(written.replace("/opt/hepafed/bin/hepafed", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copied], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    asked = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", copied]
    rated = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_containers_are_closed(kind: str) -> None:
    service = compose(kind)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert not {"network_mode", "pid", "ipc", "userns_mode", "devices"} & set(service)
    assert service["user"].split(":")[0] not in ("0", "root", "")
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert service["ulimits"]["core"] in (0, {"soft": 0, "hard": 0})
    [temporary] = service["tmpfs"]
    assert {"nosuid", "nodev", "noexec"} <= set(temporary.partition(":")[2].split(","))


def test_one_port_is_published_and_the_hospital_publishes_none() -> None:
    assert "ports" not in compose("site")
    assert "expose" not in compose("site")
    assert [port["target"] for port in compose("coordinator")["ports"]] == [GATEWAY]


def test_the_hospitals_data_is_mounted_read_only_and_its_own_folder_is_not() -> None:
    mounted = {volume["target"]: volume for volume in compose("site")["volumes"]}
    assert set(mounted) == {"/hospital", "/hospital/.hepafed"}
    assert mounted["/hospital"]["read_only"] is True
    assert not mounted["/hospital/.hepafed"].get("read_only")
    assert mounted["/hospital/.hepafed"]["source"] == mounted["/hospital"]["source"] + "/.hepafed"
    assert all(volume["bind"] == {"create_host_path": False} for volume in mounted.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_compose_file_without_its_folder_is_refused_in_words(kind: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HEPAFED_")}
    asked = [TOOLS / "docker-compose", "-f", DOCKER / f"{kind}.compose.yaml", "config", "--quiet"]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    assert "folder" in done.stderr


def test_the_hospitals_health_is_what_site_status_says() -> None:
    assert compose("site")["healthcheck"]["test"] == ["CMD", "hepafed", "site", "status", "/hospital"]


def test_no_image_runs_as_root() -> None:
    stages: dict[str, str] = {}
    user: dict[str, str] = {}
    stage = ""
    for line in (DOCKER / "Dockerfile").read_text().splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            stage = match[2]
            stages[stage] = match[1]
            user[stage] = user.get(match[1], "root")
        elif line.startswith("USER "):
            user[stage] = line.split()[1]
    for kind in KINDS:
        assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user[kind]), f"{kind} runs as {user[kind]}"
        assert stages[kind] == "daemon", "an image is built on a stage without a compiler"


def test_the_dockerfile_passes_its_linter() -> None:
    done = subprocess.run([TOOLS / "hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_images_hold_the_pinned_packages_alone() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    installs = [line for line in text.splitlines() if "/opt/hepafed/bin/pip install" in line]
    assert len(installs) == len(KINDS)
    assert all("--constraint constraints.txt" in line for line in installs)
    makefile = (DEPLOY.parent / "Makefile").read_text()
    for pin in re.findall(r"(?:numpy|setuptools|pyradiomics)==[\d.]+", text):
        assert pin in makefile, f"{pin}: the Makefile builds PyRadiomics otherwise"


def test_what_is_copied_into_an_image_is_named() -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().split("\n")
    assert next(line for line in lines if line and not line.startswith("#")) == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert {f"!{name}" for names in copied for name in names.split()} <= set(lines)


def test_manifests_are_what_kubernetes_publishes() -> None:
    files = sorted(KUBERNETES.glob("*.yaml"))
    done = subprocess.run(
        [TOOLS / "kubernetes-validate", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("passed for resource") == len(manifests())


def test_pods_are_closed() -> None:
    assert len(pods()) == 2
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch", (
            "keys would not stay their owner's"
        )
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


def test_the_namespace_refuses_pods_that_are_less_closed() -> None:
    [namespace] = [found for found in manifests() if found["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_only_the_gateway_can_be_reached_and_nothing_goes_out() -> None:
    policies = {
        found["metadata"]["name"]: found["spec"] for found in manifests() if found["kind"] == "NetworkPolicy"
    }
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    opened = [spec["ingress"] for name, spec in policies.items() if name != "nothing"]
    allowed = [port for rules in opened for rule in rules for port in rule["ports"]]
    assert allowed == [{"port": GATEWAY, "protocol": "TCP"}]
    assert not any("egress" in spec for spec in policies.values())
    for service in (found for found in manifests() if found["kind"] == "Service"):
        assert [port["port"] for port in service["spec"]["ports"]] == [GATEWAY]
        assert service["spec"]["type"] == "ClusterIP"


def test_every_way_to_start_is_a_command_that_exists() -> None:
    from typer.main import get_command

    from deploy.cli import app

    root: Any = get_command(app)
    for kind in KINDS:
        started = unit(kind)["ExecStart"][0].split()
        assert started[0] == "/opt/hepafed/bin/hepafed"
        for words in (started[1:], compose(kind)["command"]):
            assert words[:2] == [kind, "start"]
            assert words[1] in root.commands[words[0]].commands


def test_all_pods_and_containers_run_one_version() -> None:
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    images = {container["image"] for pod in pods() for container in pod["containers"]}
    assert images | {compose(kind)["image"] for kind in KINDS} == {
        f"hepafed-site:{version}",
        f"hepafed-coordinator:{version}",
    }
