"""The demo movies are what their truth says, seen through a decoder and not through our own code."""

import subprocess
from itertools import pairwise

import numpy as np
import pytest

from wanprep.demo import movie
from wanprep.demo.movie import FPS, SCRIPT, film, make_demo, script_truth, shoot
from wanprep.demo.scenes import HEIGHT, WIDTH
from wanprep.demo.truth import Truth


def decode(path):
    """Luma of every frame, uint8 [F,h,w], by the ffmpeg command."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "gray"]
    data = subprocess.run([*command, "-vf", "scale=out_range=pc", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    truth = make_demo(folder)
    return truth, folder, {file.path: decode(folder / file.path) for file in truth.files}


def shot(demo, label):
    truth, _, luma = demo
    for file in truth.files:
        for known in file.shots:
            if known.label == label:
                return luma[file.path][known.start_frame : known.end_frame].astype(np.float32)
    raise KeyError(label)


def steps(frames):
    return np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2))


def test_truth_file_is_the_script(demo):
    truth, folder, _ = demo
    assert Truth.from_json((folder / "truth.json").read_text()) == truth == script_truth()


def test_shots_and_dissolves_cover_every_frame_once(demo):
    for file in demo[0].files:
        ranges = sorted([(s.start_frame, s.end_frame) for s in file.shots] + list(file.gradual))
        assert ranges[0][0] == 0
        assert ranges[-1][1] == file.n_frames
        assert all(a[1] == b[0] for a, b in pairwise(ranges))
        inner = {start for start, _ in ranges[1:]}
        beside = {edge for span in file.gradual for edge in span}
        assert set(file.cuts) == inner - beside


def test_length(demo):
    seconds = {file.path: file.n_frames / FPS for file in demo[0].files}
    assert 29 < seconds["film/film.mp4"] + seconds["broadcast/broadcast.mp4"] < 31
    assert all(s.end_frame - s.start_frame >= 2.4 * FPS for f in demo[0].files for s in f.shots if s.label != "flash")


def test_decoded_frames_and_cuts(demo):
    for file in demo[0].files:
        luma = demo[2][file.path]
        assert len(luma) == file.n_frames
        change = steps(luma)
        shaky = [(s.start_frame, s.end_frame) for s in file.shots if s.label == "shaky"]
        for index, value in enumerate(change, start=1):
            if index in file.cuts:
                assert value > 35, (file.path, index)
            elif not any(start <= index < end for start, end in shaky):
                assert value < 18, (file.path, index)


def test_dissolve_mixes_both_neighbours(demo):
    import cv2

    file = demo[0].files[0]
    ((start, end),) = file.gradual
    luma = [cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 12) for frame in demo[2][file.path][: end + 6]]

    def weights(index):  # of the frames on either side, in the picture at `index`
        sides = np.stack([luma[start - 1].ravel(), luma[end].ravel()], axis=1)
        return np.linalg.lstsq(sides - sides.mean(0), (luma[index] - luma[index].mean()).ravel(), rcond=None)[0]

    assert min(weights((start + end) // 2)) > 0.2
    assert min(weights(start - 5)) < 0.1
    assert min(weights(end + 5)) < 0.1
    assert steps(demo[2][file.path][start - 1 : end + 1]).max() < 18


def test_blurred_shot_has_no_fine_detail_and_the_others_have(demo):
    import cv2

    def detail(label):
        frame = shot(demo, label)[30]
        return float(np.percentile(np.abs(cv2.Laplacian(frame, cv2.CV_32F)), 99))

    sharp = [s.label for f in demo[0].files for s in f.shots if s.label not in ("blurred", "flash", "barred")]
    assert detail("blurred") < 20
    assert min(detail(label) for label in sharp) > 60


def test_frozen_shot_is_still_but_not_bit_equal(demo):
    assert steps(shot(demo, "frozen")).max() < 2.0  # a key frame differs a little
    assert np.median(steps(shot(demo, "frozen"))) < 0.3
    assert np.abs(np.diff(shoot(movie.FILM[6], 0, 6)[:2].astype(int), axis=0)).max() > 0  # the sensor's noise
    moving = [s.label for f in demo[0].files for s in f.shots if s.label not in ("frozen", "flash")]
    assert min(np.median(steps(shot(demo, label))) for label in moving) > 1.5


def test_shaky_shot_turns_back_often_and_the_pans_do_not(demo):
    import cv2

    def reversals(label):
        frames = shot(demo, label)
        window = cv2.createHanningWindow((WIDTH, HEIGHT), cv2.CV_32F)
        moves = np.array([cv2.phaseCorrelate(a, b, window)[0] for a, b in pairwise(frames)])
        return float(((moves[1:] * moves[:-1]).sum(axis=1) < -1).mean())

    assert reversals("shaky") > 0.15
    assert max(reversals(label) for label in ("valley", "town", "night town")) < 0.05


def test_bars_are_black_and_only_there(demo):
    x, y, w, h = demo[0].files[0].shots[-1].crop
    frames = shot(demo, "barred")
    assert (x, w) == (0, WIDTH)
    assert frames[:, :y].max() < 32  # the codec rings at the edge
    assert frames[:, y + h :].max() < 32
    assert np.percentile(frames[:, : y - 2], 99) <= 2
    assert np.percentile(frames[:, y], 97) > 60
    assert np.percentile(frames[:, y + h - 1], 97) > 60


def test_logo_is_the_same_in_its_three_shots(demo):
    mark = movie.logo()[..., 3] > 0.9 * movie.logo()[..., 3].max()
    edges = []
    for label in ("logo 1", "logo 2", "logo 3", "night town"):
        frame = np.median(shot(demo, label), axis=0)
        edges.append(frame - np.median(frame[10:70, 440:630]))
    inside = [edge[mark] for edge in edges]
    assert mark.sum() > 200
    assert min(values.mean() for values in inside[:3]) > 15
    assert inside[3].mean() < 15


def test_same_seed_same_pictures_and_other_seed_others():
    one = shoot(movie.FILM[7], 0, 7)
    assert one.shape == (9, HEIGHT, WIDTH, 3)
    assert np.array_equal(one, shoot(movie.FILM[7], 0, 7))
    assert not np.array_equal(one, shoot(movie.FILM[7], 0, 8))


def test_every_shot_of_a_movie_has_its_own_seed():
    shots = [movie.FILM[7]] * 2
    frames = list(film(shots, seed=3))
    assert len(frames) == 18
    assert np.abs(frames[0].astype(int) - frames[9]).mean() > 10


def test_ffmpegs_words_reach_the_reader(tmp_path):
    with pytest.raises(RuntimeError, match="ffmpeg could not write"):
        movie.encode(tmp_path / "no such folder" / "x.mp4", film([movie.FILM[7]], seed=0))


def test_script_labels_are_unique():
    labels = [s.label for shots in SCRIPT.values() for s in shots]
    assert len(labels) == len(set(labels))
