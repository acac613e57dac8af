"""The page on CDS Hooks: its lines run, and what they answer is what it shows."""

import asyncio
import json
import re
from pathlib import Path

from service.app import build_app, listening
from tests.app.hooks import EXCLUDED
from tests.app.serving import PretendQueue, on_server, pretending
from tests.support import case_bundle, client_of, reviewer, settings

PAGE = (Path(__file__).parents[2] / "docs" / "cds-hooks.md").read_text(encoding="utf-8")


async def test_the_page_of_cds_hooks_runs_and_answers_with_its_card() -> None:
    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    chosen = settings(port=0)
    client = client_of(on_server(case_bundle(EXCLUDED)))
    app = build_app(chosen, pretending(reviewer()), client, PretendQueue())
    async with listening(app, chosen) as address:
        script = lines.replace("http://127.0.0.1:8080", address)
        shell = await asyncio.create_subprocess_exec("sh", "-ec", script, stdout=asyncio.subprocess.PIPE)
        out, _ = await shell.communicate()
    services, answer = map(json.loads, out.decode().replace("}{", "}\n{").splitlines())
    (card,) = answer["cards"]
    picture = " ".join(re.sub("[^ -~]", " ", PAGE.split("```text")[1]).split())
    order, decided = card["detail"].replace("**", "").split("\n\n")[:2]

    assert shell.returncode == 0
    assert len(lines.splitlines()) <= 10
    assert {f"`{service['id']}`" for service in services["services"]} <= {*PAGE.split()}
    for shown in (card["indicator"], card["summary"], card["source"]["label"], order, decided):
        assert shown in picture
