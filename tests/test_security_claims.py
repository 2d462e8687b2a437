"""docs/security.md names the test that holds each claim; these tests exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLAIM = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_claim_about_security_names_a_test_that_there_is() -> None:
    claims = CLAIM.findall((ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert len(claims) > 20
    assert [claim for claim in claims if claim[1] not in functions_of(claim[0])] == []
