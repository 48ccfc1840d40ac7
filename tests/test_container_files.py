"""Dockerfile, Compose files and README agree with each other, the settings and what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml  # type: ignore[import-untyped]

from dubarr_watch.settings import Settings
from tests.programs import ROOT

DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE = ["docker-compose.yml", "deploy/media-server.yml"]
FOLDERS = {"/app/videos": "videos_dir", "/app/models": "models_dir", "/app/config": "config_dir"}
CONTAINER_ONLY = {"PUID", "PGID", "UMASK", "TZ"}


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def in_readme() -> Any:
    """Return the service that README shows."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## With Docker")[2]
    return yaml.safe_load(text.split("```yaml")[1].split("```")[0])["services"]["dubarr"]


def environment(service: Any) -> dict[str, Any]:
    given = service["environment"]
    return given if isinstance(given, dict) else dict(line.split("=", 1) for line in given)


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
              for word in line.split()]  # fmt: skip
    assert len(copied) >= 8
    for name in copied:
        assert (ROOT / name).exists(), name
        assert any(Path(name).is_relative_to(kept) for kept in let_in), name


def test_the_image_opens_and_keeps_what_the_settings_say() -> None:
    fields = Settings.model_fields
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.M) == [str(fields["api_port"].default)]
    [volumes] = re.findall(r"^VOLUME (.*)$", DOCKERFILE, re.M)
    assert yaml.safe_load(volumes) == list(FOLDERS)
    for folder, name in FOLDERS.items():
        assert str(fields[name].default) == folder
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
    [entrypoint] = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.M)
    assert yaml.safe_load(entrypoint) == ["/usr/local/bin/dubarr-watch"]


def test_a_linter_of_dockerfiles_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    said = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_are_what_the_specification_of_compose_allows(name: str) -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    said = subprocess.run([*checker, ROOT / name], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


def test_the_last_target_is_the_full_one() -> None:
    """It is what is built where no target is named."""
    assert re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.M)[-2:] == ["cpu", "full"]


@pytest.mark.parametrize("name", COMPOSE)
def test_every_variable_of_a_compose_file_is_a_setting(name: str) -> None:
    known = {field.upper() for field in Settings.model_fields} | CONTAINER_ONLY
    services = [one for key, one in read(name)["services"].items() if key.startswith("dubarr")]
    for service in services:
        assert {key.removesuffix("_FILE") for key in environment(service)} <= known


def test_the_service_is_the_one_of_readme() -> None:
    """Name, image, folders, port and what it is told."""
    ours, shown = read("docker-compose.yml")["services"]["dubarr"], in_readme()
    for key in ("image", "container_name", "ports", "restart"):
        assert ours[key] == shown[key], key
    assert [re.sub(r"^\$\{\w+:-(.*)\}:", r"\1:", one) for one in ours["volumes"]] == shown[
        "volumes"
    ]
    told = set(environment(shown)) - {"COQUI_TOS_AGREED", "API_PASS"}  # those come from .env
    assert told <= set(environment(ours))
    assert {"OPENAI_API_KEY", "HF_TOKEN", "GPU_TTS"} <= told


@pytest.mark.parametrize("name", COMPOSE)
def test_it_may_do_no_more_than_become_its_user(name: str) -> None:
    services = [one for key, one in read(name)["services"].items() if key.startswith("dubarr")]
    for service in services:
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["cap_drop"] == ["ALL"]
        assert set(service["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"}


@pytest.mark.parametrize("name", COMPOSE)
def test_its_log_takes_no_more_space_than_it_may(name: str) -> None:
    services = [one for key, one in read(name)["services"].items() if key.startswith("dubarr")]
    for service in services:
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


def test_only_the_service_without_a_gpu_reserves_none() -> None:
    services = read("docker-compose.yml")["services"]
    without = {"dubarr-cpu", "dubarr-cluster", "dubarr-scheduler"}
    assert {name for name, one in services.items() if "deploy" not in one} == without
    assert services["dubarr-worker"]["command"] == ["worker"]
    assert {services[name]["profiles"][0] for name in without - {"dubarr-cpu"}} == {"cluster"}
    for name in ("dubarr-cluster", "dubarr-scheduler", "dubarr-worker"):
        assert {"CLUSTER_SECRET", "SCHEDULER"} <= set(services[name]["environment"])
    assert services["dubarr-cpu"]["profiles"] == ["cpu"]
    assert services["dubarr-local-llm"]["environment"]["LLM_BACKEND"] == "local"


def test_manifests_of_kubernetes_fit_together() -> None:
    """Every claim, secret and map that is used is there; each worker has one GPU to itself."""
    folder = ROOT / "deploy" / "kubernetes"
    found = [one for path in sorted(folder.glob("*.yaml"))
             for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]  # fmt: skip
    by_kind = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(by_kind) == len(found) >= 9
    claims = {name for kind, name in by_kind if kind == "PersistentVolumeClaim"}
    settings = by_kind["ConfigMap", "dubarr-settings"]["data"]
    assert set(settings) <= {field.upper() for field in Settings.model_fields}
    host, port = settings["SCHEDULER"].removeprefix("tcp://").split(":")
    assert by_kind["Service", host]["spec"]["ports"] == [{"port": int(port)}]
    for (kind, name), one in by_kind.items():
        if kind not in ("Deployment", "StatefulSet"):
            continue
        pod = one["spec"]["template"]["spec"]
        mounted = {volume["name"] for volume in pod.get("volumes", ())} | {"config"}
        [container] = pod["containers"]
        assert {m["name"] for m in container.get("volumeMounts", ())} <= mounted
        used = {volume["persistentVolumeClaim"]["claimName"] for volume in pod.get("volumes", ())
                if "persistentVolumeClaim" in volume}  # fmt: skip
        assert used <= claims
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert gpus == (1 if name == "dubarr-worker" else None)
        assert container["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "dubarr-cluster"
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    scaled = by_kind["HorizontalPodAutoscaler", "dubarr-worker"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == "dubarr-worker"


def test_versions_agree() -> None:
    """The program's, its package's and the newest of the changelog."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for package in ("dubarr_watch", "tts_sidecar"):
        text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
        assert f'__version__ = "{version}"' in text
    newest = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)[0]
    assert newest == version
