"""A reader who meets the name of a class finds one class of that name."""

import ast
from collections import defaultdict
from pathlib import Path

SERVICE = Path(__file__).parents[2] / "service"


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path.relative_to(SERVICE)}: {node.name}")

    assert "Knowledge" in places
    assert [found for found in places.values() if len(found) > 1] == []
