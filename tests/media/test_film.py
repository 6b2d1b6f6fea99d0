"""Videos to look at: the right colours, rate and frames, in a form that browsers play."""

import av
import numpy as np
import pytest

from wanprep.media.film import write_film

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40)]


def _flat(width: int = 64, height: int = 48) -> np.ndarray:
    return np.stack([np.full((height, width, 3), colour, np.uint8) for colour in COLOURS])


def test_colours_rate_and_frames_come_back(tmp_path):
    frames = _flat()
    write_film(tmp_path / "a.mp4", frames, rate=24)
    with av.open(str(tmp_path / "a.mp4")) as video:
        stream = video.streams.video[0]
        context = stream.codec_context
        assert (stream.average_rate, context.pix_fmt, context.name) == (24, "yuv420p", "h264")
        assert (context.colorspace, context.color_range, context.color_trc, context.color_primaries) == (1, 1, 1, 1)
        pictures = [f.reformat(src_colorspace="ITU709", format="rgb24").to_ndarray() for f in video.decode(video=0)]
    assert len(pictures) == len(frames)
    for picture, frame in zip(pictures, frames, strict=True):
        assert np.abs(picture.astype(int) - frame).max() <= 4
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays while it loads


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (_flat(63), "even"),
        (_flat().astype(np.float32), "uint8"),
        (_flat()[:0], "uint8"),
        (_flat()[0], "uint8"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, frames, message):
    with pytest.raises(ValueError, match=message):
        write_film(tmp_path / "a.mp4", frames, rate=16)
    with pytest.raises(ValueError, match="rate"):
        write_film(tmp_path / "a.mp4", _flat(), rate=0)
    assert not list(tmp_path.iterdir())
