"""Writing: checked against what was fed, repeatable to the byte, and nothing left behind when it goes wrong."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from footage import write_mp4

from wanprep import ids
from wanprep.media import write
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.write import Target, psnr, write_many
from wanprep.stage import Missing


def noise(frames, width=64, height=48, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(frames)]


def left_over(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_same_frames_give_the_same_bytes(tmp_path, footage):
    frames = [footage.numbered(n) for n in range(20)]
    results = [write_mp4(tmp_path / name, frames, width=192, height=108, rate=16) for name in ("a.mp4", "b.mp4")]
    assert results[0] == results[1]
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert results[0].digest == ids.digest_file(tmp_path / "a.mp4")
    assert results[0].bytes == (tmp_path / "a.mp4").stat().st_size
    changed = [*frames[:-1], footage.numbered(99)]
    assert write_mp4(tmp_path / "c.mp4", changed, width=192, height=108, rate=16).digest != results[0].digest
    assert left_over(tmp_path) == ["a.mp4", "b.mp4", "c.mp4"]


@pytest.mark.parametrize("count", [1, 2, 5, 17, 33, 81])
def test_frame_counts_and_times_are_exact(count, tmp_path, footage):
    frames = [footage.numbered(n, 96, 64) for n in range(count)]
    assert write_mp4(tmp_path / "a.mp4", frames, width=96, height=64, rate=24).frames == count
    found = probe(tmp_path / "a.mp4")
    with open_video(tmp_path / "a.mp4", found) as reader:
        shown = [(f.pts * found.time_base * 24, footage.read_number(f.rgb(96, 64))) for f in reader.frames()]
    assert shown == [(k, k) for k in range(count)]


def test_odd_sizes_are_written(tmp_path):
    result = write_mp4(tmp_path / "a.mp4", noise(3, 63, 47), width=63, height=47, rate=16)
    found = probe(tmp_path / "a.mp4")
    assert (found.width, found.height, result.frames) == (63, 47, 3)


def test_hard_material_is_encoded_again_until_it_is_good_enough(tmp_path):
    hard = write_mp4(tmp_path / "noise.mp4", noise(6), width=64, height=48, rate=16, min_psnr=52)
    assert hard.psnr_min >= 52
    first = write.first_qp(Target(path=tmp_path / "noise.mp4", width=64, height=48))
    assert hard.qp < first
    easy = write_mp4(tmp_path / "low.mp4", noise(6), width=64, height=48, rate=16, min_psnr=20)
    assert easy.qp == first
    assert easy.bytes < hard.bytes


def test_a_bar_out_of_reach_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="without compression loss"):
        write_mp4(tmp_path / "a.mp4", noise(2), width=64, height=48, rate=16, min_psnr=101)
    assert left_over(tmp_path) == []


def test_several_sizes_from_one_pass(tmp_path, footage, monkeypatch):
    monkeypatch.setattr(write, "SPOOL_BYTES", 1000)  # the frames go through a temporary file
    sizes = {"large": (96, 64), "small": (48, 32)}
    passes = []

    def moments():
        passes.append(1)
        for n in range(9):
            yield {key: footage.numbered(n, *size) for key, size in sizes.items()}

    targets = {k: Target(path=tmp_path / k / "c.mp4", width=w, height=h) for k, (w, h) in sizes.items()}
    results = write_many(targets, moments(), rate=16)
    assert passes == [1]
    assert set(results) == {"large", "small"}
    for key, (width, height) in sizes.items():
        found = probe(targets[key].path)
        assert (found.width, found.height, results[key].frames) == (width, height, 9)
        assert results[key].psnr_min >= 45
        assert left_over(tmp_path / key) == ["c.mp4"]


def test_an_error_in_the_source_leaves_nothing(tmp_path, footage):
    def broken():
        yield footage.numbered(0)
        raise OSError("the disk went away")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="went away"):
        write_mp4(tmp_path / "a.mp4", broken(), width=192, height=108, rate=16)
    with pytest.raises(ValueError, match="no frames"):
        write_mp4(tmp_path / "a.mp4", [], width=192, height=108, rate=16)
    with pytest.raises(ValueError, match=r"uint8 \[108, 192, 3\]"):
        write_mp4(tmp_path / "a.mp4", noise(1), width=192, height=108, rate=16)
    assert left_over(tmp_path) == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_an_older_file_survives_a_failure(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"older")
    with pytest.raises(RuntimeError):
        write_mp4(tmp_path / "a.mp4", noise(2), width=64, height=48, rate=16, min_psnr=101)
    assert (tmp_path / "a.mp4").read_bytes() == b"older"


def fake_ffmpeg(folder, monkeypatch, script):
    program = folder / "ffmpeg"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    monkeypatch.setattr(write, "ffmpeg_binary", lambda: str(program))


def test_what_ffmpeg_says_is_reported_when_it_dies(tmp_path, monkeypatch, footage):
    (tmp_path / "out").mkdir()
    fake_ffmpeg(tmp_path, monkeypatch, "echo 'Unknown encoder libx264' >&2\nexit 3\n")
    with pytest.raises(RuntimeError, match=r"status 3: Unknown encoder libx264"):
        write_mp4(tmp_path / "out" / "a.mp4", [footage.numbered(n) for n in range(60)], width=192, height=108, rate=16)
    assert left_over(tmp_path / "out") == []


def test_a_full_disk_is_told_from_other_failures(tmp_path, monkeypatch, footage):
    fake_ffmpeg(
        tmp_path, monkeypatch, "echo '[out#0/mp4] Error writing trailer: No space left on device' >&2\nexit 228\n"
    )
    with pytest.raises(OSError, match="No space left") as told:
        write_mp4(tmp_path / "a.mp4", [footage.numbered(n) for n in range(60)], width=192, height=108, rate=16)
    assert told.value.errno == errno.ENOSPC


def test_an_ffmpeg_that_loses_frames_is_caught(tmp_path, monkeypatch, footage):
    (tmp_path / "out").mkdir()
    real = write.ffmpeg_binary()
    script = f'head -c {192 * 108 * 3 * 7} > {tmp_path}/raw\ncat > /dev/null\nexec {real} "$@" < {tmp_path}/raw\n'
    fake_ffmpeg(tmp_path, monkeypatch, script)
    with pytest.raises(RuntimeError, match="fed 9 frames, the file holds 7"):
        write_mp4(tmp_path / "out" / "a.mp4", [footage.numbered(n) for n in range(9)], width=192, height=108, rate=16)
    assert left_over(tmp_path / "out") == []


def test_wrong_pixels_are_caught(tmp_path, monkeypatch, footage):
    real = write.ffmpeg_binary()
    arguments = 'for a; do shift; case "$a" in rgb24) a=bgr24;; esac; set -- "$@" "$a"; done\n'
    fake_ffmpeg(tmp_path, monkeypatch, f'{arguments}exec {real} "$@"\n')
    with pytest.raises(RuntimeError, match="worst frame"):
        write_mp4(tmp_path / "a.mp4", [footage.numbered(0)], width=192, height=108, rate=16)


def test_without_ffmpeg_it_says_what_to_do(monkeypatch):
    import imageio_ffmpeg

    def gone():
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", gone)
    with pytest.raises(Missing, match="install ffmpeg"):
        write.ffmpeg_binary()


def test_psnr():
    a = np.zeros((4, 4, 3), np.uint8)
    assert psnr(a, a) == write.MAX_PSNR
    assert psnr(a, a + 255) == 0
    assert psnr(a, a + 1) == pytest.approx(48.13, abs=0.01)
    assert psnr(a + 1, a) == psnr(a, a + 1)
    with pytest.raises(ValueError, match="alike"):
        psnr(a, a[:2])


def test_names_that_look_like_options_or_protocols(tmp_path, footage, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-y.mp4", "http:x.mp4", "%03d.mp4"):
        assert write_mp4(Path(name), [footage.numbered(0)], width=192, height=108, rate=16).frames == 1
    assert left_over(tmp_path) == ["%03d.mp4", "-y.mp4", "http:x.mp4"]
