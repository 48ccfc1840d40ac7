"""The engines of a daemon on several machines, by Dask distributed (EXECUTOR=dask).

A daemon claims jobs from the journal, decodes, mixes and publishes as ever. What a model does, each
call of an engine, becomes a Dask task that asks for what its lease would ask, and runs on a worker
as the same killable child process under the worker's own lease broker. Nothing durable is kept by
the scheduler: what it loses is asked again. Several daemons may share one journal (DATABASE_URL).

Nothing outside of this package imports `distributed`, and it is imported only where EXECUTOR=dask
or the commands `scheduler` and `worker` ask for it.
"""

from __future__ import annotations

from importlib.util import find_spec

from dubarr_watch.errors import ToolMissing


def require_distributed() -> None:
    """Do nothing where Dask is installed.

    Raises:
        ToolMissing: It is not.
    """
    if find_spec("distributed") is None:
        raise ToolMissing(
            "Dask is not installed.",
            hint="It comes with the full profile (`make full`) and with the container images; "
            "elsewhere `uv sync --extra cluster` adds it.",
        )
