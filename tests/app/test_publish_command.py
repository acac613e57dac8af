"""The command `publish`: what it prints and writes, and how it ends."""

import json
from pathlib import Path

from typer.testing import CliRunner

from service import cli


def test_it_prints_or_writes_but_loads_only_on_its_word(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli.app, ["publish"])
    written = CliRunner().invoke(cli.app, ["publish", "--out", str(tmp_path / "out")])

    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert json.loads(printed.stdout)["type"] == "transaction"
    assert len(list((tmp_path / "out").iterdir())) == len(json.loads(printed.stdout)["entry"])


def test_wrong_usage(tmp_path: Path) -> None:
    both = CliRunner().invoke(cli.app, ["publish", "--to-server", "--out", str(tmp_path)])
    assert both.exit_code == 2

    (tmp_path / "file").write_text("")
    for arguments, message in (
        (["--to-server"], "TRD_FHIR_BASE_URL: not set"),
        (["--out", str(tmp_path / "file" / "out")], "file/out: cannot be written"),
    ):
        ran = CliRunner().invoke(cli.app, ["publish", *arguments])
        assert message in str(ran.exception)
