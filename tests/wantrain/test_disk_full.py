"""A disk that fills up while a checkpoint is written costs nothing that was saved before."""

import errno
import resource

import pytest

from wanprep.ids import digest_file
from wantrain.exits import exit_codes

LIMIT = 50_000  # bytes: between a run's metrics and its state


@pytest.fixture
def file_size_limit():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_goes_on(toy, dataset, tmp_path, file_size_limit):
    calm = toy.train_toy(tmp_path / "calm", dataset)
    asked = []

    def fill_the_disk() -> bool:
        asked.append(1)
        if len(asked) == 7:  # after the first save of `high`
            file_size_limit()
        return False

    with pytest.raises(OSError, match="File too large") as caught:
        toy.train_toy(tmp_path / "runs", dataset, save_now=fill_the_disk)
    assert caught.value.errno == errno.EFBIG
    resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)

    folder = tmp_path / "runs" / "toy"
    states = list((folder / "state").iterdir())
    assert [path.name for path in states] == ["high-000004.safetensors"]
    assert states[0].stat().st_size > LIMIT
    assert f'"{digest_file(states[0])}"' in (folder / "run.json").read_text()

    result = toy.train_toy(tmp_path / "runs", dataset)
    for name in ("high", "low"):
        assert result.loras[name].read_bytes() == calm.loras[name].read_bytes()
        assert toy.rows(folder, name) == toy.rows(calm.folder, name)


def test_the_command_line_says_so(capsys):
    with pytest.raises(SystemExit) as stop, exit_codes():
        raise OSError(errno.ENOSPC, "No space left on device", "runs/toy/state/high-000004.safetensors")
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "No space left on device while writing runs/toy/state/high-000004.safetensors" in said
    assert "make room" in said
    with pytest.raises(PermissionError), exit_codes():  # what is not about space stays what it is
        raise PermissionError(errno.EACCES, "Permission denied")
