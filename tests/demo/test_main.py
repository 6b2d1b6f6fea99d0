"""The demo says at once where it has to be run."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from wanprep.demo.__main__ import main


def test_elsewhere_than_in_the_repository_it_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 1
    assert "no pipelines/demo.toml here; run the demo in the folder of the repository" in done.output
    assert not list(tmp_path.iterdir())
