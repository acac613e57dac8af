"""The command itself: its groups, its version, and how it ends where nobody reads on."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service import __version__
from service.commands.output import drop_output


class Commands(TyperGroup):
    """The commands; what they print is handed on before one of them counts as done."""

    def invoke(self, ctx: Any) -> object:
        """Run a command. One whose reader has left, such as `head`, has done its work."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            drop_output()
            raise typer.Exit(0) from None
        except OSError:
            drop_output()
            raise


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


mappings_app = typer.Typer(help="The clinical lists under `mappings/`.", no_args_is_help=True)


app.add_typer(mappings_app, name="mappings")


def _print_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"trd-careplan {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Assess treatment-resistant depression from a FHIR record. Decision support: a clinician decides."""
