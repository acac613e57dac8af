"""sekmet-fhir, a FHIR R4 server in Python that starts in two seconds."""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.demo.sandbox.processes import MissingToolError, free_port, running

_START_SECONDS: Final = 60.0


@contextmanager
def running_sekmet(*, port: int | None = None, **others: object) -> Iterator[str]:
    """Run an empty sekmet-fhir server on `port` or a free one; yield its `http://127.0.0.1:PORT/fhir`.

    Its simulator, which would answer orders and appointments by itself, is off, and resources are
    validated when they come in. `others` are further settings of the server.
    Raises `MissingToolError` or `ServerStartError`.
    """
    if importlib.util.find_spec("sekmet") is None:
        message = "the package sekmet-fhir is not installed in this Python environment"
        raise MissingToolError(message)
    port = port or free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    with tempfile.TemporaryDirectory(prefix="sekmet-") as name:
        folder = Path(name)
        config = folder / "settings.yaml"
        config.write_text(_settings(base, port=port, folder=folder, **others), encoding="utf-8")
        command = [sys.executable, "-m", "sekmet.cli", "serve", "--config", str(config)]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        ready_url = f"{base}/metadata"
        with running(command, folder=folder, ready_url=ready_url, time_limit=_START_SECONDS):
            yield base


def _settings(base: str, *, port: int, folder: Path, **others: object) -> str:
    """Return the server's settings file; JSON is YAML.

    `base_url` must be the URL that clients use, because links and full URLs are written from it.
    """
    return json.dumps(
        {
            "base_url": base,
            "host": "127.0.0.1",
            "port": port,
            "data_dir": str(folder / "data"),
            "own_private_key_path": str(folder / "private.pem"),
            "simulator": {"enabled": False},
            "validation": {"inbound": "strict"},
            **others,
        }
    )
