"""A model process makes sure that its GPU is the one that was leased, before it loads anything.

It asks CUDA's driver library itself: nothing else tells which card a process was really given, and
no library that takes seconds to import is needed for it.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_int, c_size_t, create_string_buffer
from uuid import UUID

import structlog

from dubarr_watch.errors import DeviceError
from dubarr_watch.gpu.apple import MPS_UUID
from dubarr_watch.gpu.devices import find_gpu
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.mapping import CudaDevice, match_devices, same_bus, same_uuid

log = structlog.get_logger(__name__)

LIBRARY = "libcuda.so.1"
_MIB = 2**20
_HINT = "Restart the daemon; when it happens again, please report it with `nvidia-smi -L`."
_NO_DEVICE = 100


def assert_gpu(uuid: str) -> None:
    """Make sure that CUDA's device 0 of this process is the leased one.

    By UUID; where CUDA or the lease has none, by PCI bus id, and where that is unknown too by name
    and memory, which is said in the log: two equal cards cannot be told apart by it.

    Args:
        uuid: UUID of the lease; nothing is checked without one, nor for Apple's GPU.

    Raises:
        DeviceError: It is another, or there is none; the message has both.
    """
    if uuid in ("", MPS_UUID):
        return
    devices = cuda_devices()
    if not devices:
        raise DeviceError(f"This process was to use {uuid}, but CUDA sees no GPU.", hint=_HINT)
    first = devices[0]
    if first.uuid and not uuid.startswith("PCI-"):
        if not same_uuid(uuid, first.uuid):
            raise _wrong(uuid, f"{first.uuid} ({first.name})")
        return
    _assert_alike(uuid, first)


def cuda_devices() -> list[CudaDevice]:
    """Return the devices that CUDA gives this process, in its order.

    Raises:
        DeviceError: CUDA's driver library is not there, or does not answer.
    """
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise DeviceError(
            f"CUDA's driver library cannot be loaded: {error}.",
            hint="It comes with NVIDIA's driver; a container must be given the GPU (`gpus: all`).",
        ) from None
    code = cuda.cuInit(0)
    if code == _NO_DEVICE:
        return []
    if code:
        raise DeviceError(
            f"CUDA does not start: {_error(cuda, code)} ({code}).",
            hint="After an update of the driver, restart the machine.",
        )
    count = c_int()
    cuda.cuDeviceGetCount(byref(count))
    return [_device(cuda, ordinal) for ordinal in range(count.value)]


def _assert_alike(uuid: str, first: CudaDevice) -> None:
    leased = find_gpu(uuid)
    if leased is None:
        raise DeviceError(f"{uuid} was leased, and is not there any more.", hint=_HINT)
    if first.pci_bus_id and not leased.parent_uuid:
        if not same_bus(leased.pci_bus_id, first.pci_bus_id):
            raise _wrong(_told(leased), f"{first.name} at {first.pci_bus_id}")
        return
    if not match_devices([leased], [CudaDevice(0, first.name, first.total_mib)]):
        raise _wrong(_told(leased), f"{first.name} with {first.total_mib} MiB")
    log.warning("gpu known by name and memory only", leased=uuid, name=first.name)


def _told(gpu: Gpu) -> str:
    return f"{gpu.uuid} ({gpu.name}, {gpu.total_mib} MiB, at {gpu.pci_bus_id})"


def _wrong(leased: str, given: str) -> DeviceError:
    return DeviceError(f"Leased was {leased}, but CUDA gave {given}.", hint=_HINT)


def _device(cuda: ctypes.CDLL, ordinal: int) -> CudaDevice:
    device = c_int()
    if code := cuda.cuDeviceGet(byref(device), ordinal):
        raise DeviceError(f"CUDA does not open device {ordinal}: {_error(cuda, code)}.", hint=_HINT)
    name, bus, size = create_string_buffer(256), create_string_buffer(32), c_size_t()
    cuda.cuDeviceGetName(name, 256, device)
    cuda.cuDeviceTotalMem_v2(byref(size), device)
    has_bus = cuda.cuDeviceGetPCIBusId(bus, 32, device) == 0
    return CudaDevice(
        ordinal=ordinal,
        name=name.value.decode(errors="replace"),
        total_mib=size.value // _MIB,
        uuid=_uuid(cuda, device),
        pci_bus_id=bus.value.decode() if has_bus else "",
    )


def _uuid(cuda: ctypes.CDLL, device: c_int) -> str:
    # Only the second version knows the UUID of a part of a card (since CUDA 11.4).
    read = getattr(cuda, "cuDeviceGetUuid_v2", None)
    raw = (ctypes.c_ubyte * 16)()
    if read is None or read(byref(raw), device):
        return ""
    return str(UUID(bytes=bytes(raw)))


def _error(cuda: ctypes.CDLL, code: int) -> str:
    words = c_char_p()
    cuda.cuGetErrorString(code, byref(words))
    return (words.value or b"unknown error").decode(errors="replace")
