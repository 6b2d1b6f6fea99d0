"""The README leads to every page."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_page_is_linked_and_every_link_leads_somewhere() -> None:
    links = set(re.findall(r"\]\((docs/[^)#]*)", (ROOT / "README.md").read_text()))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= links
    assert [link for link in links if not (ROOT / link).exists()] == []
