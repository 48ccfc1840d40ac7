"""Who may join a cluster, and what a process says that cannot."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from dubarr_watch.cluster.handshake import GREETING, use_secret
from dubarr_watch.cluster.joining import join, security_of
from dubarr_watch.cluster.supervising import posts_of
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.errors import DubarrError, UserMustProvide
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.settings import load_settings
from tests.cluster.clusters import SECRET, Cluster, open_host
from tests.waiting import eventually


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate authority and one certificate for all, made by openssl."""
    folder = tmp_path_factory.mktemp("certificates")
    key, cert, ca = folder / "key.pem", folder / "cert.pem", folder / "ca.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
            "/CN=dubarr test"]  # fmt: skip
    subprocess.run([*make, "-keyout", folder / "ca.key", "-out", ca], check=True,
                   capture_output=True)  # fmt: skip
    subprocess.run([*make[:2], "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node", "-keyout",
                    key, "-out", folder / "csr.pem"], check=True, capture_output=True)  # fmt: skip
    subprocess.run(["openssl", "x509", "-req", "-in", folder / "csr.pem", "-CA", ca, "-CAkey",
                    folder / "ca.key", "-CAcreateserial", "-days", "2", "-out", cert],
                   check=True, capture_output=True)  # fmt: skip
    return {"CLUSTER_CA": str(ca), "CLUSTER_CERT": str(cert), "CLUSTER_KEY": str(key)}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as found:
        found.start_scheduler()
        yield found


def test_who_does_not_know_the_secret_gets_no_word_in(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.start_worker(wait=False, CLUSTER_SECRET="another-made-up-secret")
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=30) as plain:
        plain.sendall(b"\x08\x00\x00\x00\x00\x00\x00\x00" + b"x" * 60)  # Dask's own first words
        assert plain.recv(100) == b""  # closed, and nothing was said
    use_secret("a third made-up secret")
    with pytest.raises(OSError, match=r"[Tt]imed out|CLUSTER_SECRET"):
        Client(cluster.address, timeout=3, set_as_default=False)
    eventually(lambda: "another CLUSTER_SECRET" in cluster.log("worker-0"), "it is told")
    eventually(lambda: cluster.log("scheduler").count("stranger refused") >= 3, "all were seen")
    assert "Register worker" not in cluster.log("scheduler")
    assert worker.poll() is None  # it tries again: secrets are changed one machine after the other


def test_a_listener_that_only_repeats_what_it_hears_is_no_scheduler(tmp_path: Path) -> None:
    """The proof of who was called differs from that of the caller."""

    async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read(1000)
        writer.write(heard[len(GREETING) :] + b"\0" * 32)
        await writer.drain()

    async def meet() -> None:
        server = await asyncio.start_server(parrot, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        from distributed.comm import connect

        use_secret(SECRET)
        with pytest.raises(OSError, match="CLUSTER_SECRET"):
            await connect(f"tcp://127.0.0.1:{port}", timeout=5)
        server.close()

    asyncio.run(meet())


# The connections that are refused are left to the garbage collector by asyncio.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_with_certificates_everything_is_encrypted(
    tmp_path: Path, certificates: dict[str, str]
) -> None:
    with Cluster(tmp_path, **certificates) as cluster:
        cluster.start_scheduler()
        cluster.start_worker()
        known = {name.lower(): Path(path) for name, path in certificates.items()}
        with open_host(tmp_path / "daemon", cluster, **known) as host:
            [member] = eventually(lambda: host.crew.members, "the worker")
            assert member.address.startswith("tls://")
            fake = EngineSpec("dubarr_watch.engines.fakes:FakeSynthesizer")
            with host.engine("synthesizer", fake, job=1) as voice:
                assert len(voice.voices("es")) == 4
        with socket.create_connection(("127.0.0.1", cluster.port), timeout=30) as plain:
            plain.sendall(GREETING + b"x" * 100)
            with suppress(ConnectionResetError):
                assert GREETING not in plain.recv(1000)
        with pytest.raises(UserMustProvide, match="does not go with"):
            join(load_settings(config_dir=tmp_path, cluster_secret=SECRET, **known),
                 f"tcp://127.0.0.1:{cluster.port}")  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "CLUSTER_SECRET is not set"),
        ({"cluster_secret": SECRET}, "not known where the scheduler is"),
        ({"cluster_secret": SECRET, "scheduler": "tls://a:1"}, "does not go with"),
        ({"cluster_secret": SECRET, "cluster_ca": Path("/no.pem")}, "CLUSTER_CERT and CLUSTER_KEY"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserMustProvide, match=message) as error:
        join(load_settings(config_dir=tmp_path, **values))
    assert error.value.hint


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = dict.fromkeys(("cluster_ca", "cluster_cert", "cluster_key"), tmp_path / "no.pem")
    with pytest.raises(UserMustProvide, match="CLUSTER_CA"):
        security_of(load_settings(config_dir=tmp_path, **files))
    assert security_of(load_settings(config_dir=tmp_path)) is None


def test_a_secret_that_is_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DubarrError, match="CLUSTER_SECRET"):
        load_settings(config_dir=tmp_path, cluster_secret="made-up-short")
    load_settings(config_dir=tmp_path, cluster_secret="made-up-16-chars")


def test_the_daemon_works_without_dask(tmp_path: Path) -> None:
    """Nothing but EXECUTOR=dask and the cluster's commands needs it."""
    program = (
        "import sys; sys.modules['distributed'] = sys.modules['dask'] = None\n"
        "import dubarr_watch.cli, dubarr_watch.daemon, dubarr_watch.workshop, dubarr_watch.web.app"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_each_gpu_gets_a_worker_that_sees_it_alone() -> None:
    gpus = [Gpu(n, f"GPU-{n}", "Made-up 12GB", "", 12_288, 0, 12_288) for n in (0, 1)]
    posts = posts_of(gpus, {"PATH": "/bin"})
    assert [(one.device, one.environment["CUDA_VISIBLE_DEVICES"]) for one in posts] == [
        ("GPU-0", "GPU-0"), ("GPU-1", "GPU-1"),
    ]  # fmt: skip
    assert all(one.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID" for one in posts)
    [cpu] = posts_of([], {"CUDA_VISIBLE_DEVICES": "all"})
    assert (cpu.device, cpu.environment["CUDA_VISIBLE_DEVICES"]) == ("cpu", "")
