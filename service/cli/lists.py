"""Commands about the clinical lists: `publish`, `schema`, `mappings check`, `mappings lock`."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from service import clock
from service.cli.root import app, mappings_app
from service.cli.shared import (
    ask_server,
    say,
)
from service.knowledge import Signature
from service.knowledge.configured import find_lists, load_lists
from service.render.answer import answer_schema
from service.render.terminal import count, printable_json
from service.settings import load_settings

Directory = Annotated[Path | None, typer.Argument(help="Directory of the lists (default: the packaged one).")]
Site = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Directory of the site's own lists (`TRD_SITE_MAPPINGS`).")
]


@app.command("publish")
def publish_command(
    *,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write one file per definition.")] = None,
    to_server: Annotated[bool, typer.Option("--to-server", help="Load them into the FHIR server.")] = False,
) -> None:
    """Publish the clinical lists as FHIR definitions: as a transaction, as files or on the FHIR server."""
    from service.commands.publish import (
        check_placed,
        publish_to_server,
        render_bundle,
        report_published,
        write_files,
    )

    if out is not None and to_server:
        raise typer.BadParameter("cannot be combined with --to-server", param_hint="--out")
    settings = load_settings()
    knowledge = load_lists(settings)
    if to_server:
        asked = partial(publish_to_server, settings=settings, knowledge=knowledge)
        compared = ask_server(settings, asked)
        say("\n".join(report_published(compared, settings)))
        check_placed(compared)
    elif out is not None:
        say(f"{count(write_files(knowledge, out), 'definition')} written to {out}")
    else:
        sys.stdout.write(printable_json(render_bundle(knowledge)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the output of `assess --json`."""
    say(json.dumps(answer_schema(load_lists(load_settings())), indent=2))


@mappings_app.command("check")
def check_mappings(directory: Directory = None, *, site: Site = None) -> None:
    """Check every list, the site's own as well, and report each fault with its file and line."""
    from service.commands.mappings import check_lists

    settings = load_settings()
    say(check_lists(directory or find_lists(settings), settings.criteria, site or settings.site_mappings))


@mappings_app.command("lock")
def lock_mappings(
    directory: Directory = None,
    *,
    site: Site = None,
    site_id: Annotated[
        str | None, typer.Option("--id", help="Id of the site, which becomes part of the version.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(help="Who reviewed the site's lists that are new or changed.")
    ] = None,
) -> None:
    """Record the digests of all lists, or of all the site's own lists, after a reviewed change."""
    from service.commands.mappings import lock_lists, lock_site_lists

    settings = load_settings()
    ours = directory or find_lists(settings)
    today = clock.today("UTC")
    chosen = site or (settings.site_mappings if directory is None else None)
    if chosen is None:
        say(lock_lists(ours, today))
        return
    signed = Signature(site_id, reviewer)
    say(lock_site_lists(chosen, ours, settings.criteria, signed=signed, today=today))
