"""The command `trd-careplan`.

Exit codes: 0 assessed, whatever the decision; 1 `replay` differs, or `check` failed; 2 wrong usage or set-up;
3 unreadable input; 4 the FHIR server failed.
"""

import sys
from pathlib import Path

from stamina.instrumentation import set_on_retry_hooks

from service.cli import assessing, lists, running, writing
from service.cli.root import app
from service.cli.shared import complain
from service.commands.output import describe_system_fault
from service.errors import MappingsError, SetupError, TrdError
from service.render.terminal import print_escaped

__all__ = ["app", "assessing", "lists", "main", "running", "writing"]

_UNEXPECTED = 1


def main() -> None:
    """Run the command; each error is one clear message without traceback or patient data."""
    set_on_retry_hooks([])  # its own would write a line a retry, where one clear message is wanted
    print_escaped()
    try:
        app()
    except TrdError as error:
        complain(_text(error))
        sys.exit(error.exit_code)
    except OSError as error:
        complain(describe_system_fault(error))
        sys.exit(SetupError.exit_code)
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback could carry patient data
        complain(f"internal error ({_where(error)}); please report it")
        sys.exit(_UNEXPECTED)


def _text(error: TrdError) -> str:
    return f"mappings: {error}" if isinstance(error, MappingsError) else str(error)


def _where(error: Exception) -> str:
    """The kind of an unexpected error and its place in the code, without its text."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else "unknown place"
    return f"{type(error).__name__} at {place}"
