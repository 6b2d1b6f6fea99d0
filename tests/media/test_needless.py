"""On the way to a span, pictures that nothing refers to are not decoded; those of the span are the same."""

import pytest

from wanprep.media import read
from wanprep.media.flow import Flow
from wanprep.media.probe import probe
from wanprep.media.read import open_video

STREAMS = [
    ("a.mp4", "libx264", {"g": "250", "bf": "3", "b-pyramid": "normal", "sc_threshold": "0"}),
    ("a.mkv", "libx264", {"g": "250", "bf": "2", "x264-params": "interlaced=1"}),
    ("a.mp4", "mpeg4", {"g": "250", "bf": "2", "b": "4M"}),
    ("a.mkv", "mpeg2video", {"g": "250", "bf": "2", "b": "4M"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), STREAMS)
def test_spans_are_the_same_and_cost_less(name, codec, options, tmp_path, footage, monkeypatch):
    path = footage.make_video(tmp_path / name, frames=96, codec=codec, options=options)
    facts = probe(path)
    with open_video(path, facts) as reader:
        whole = {frame.pts: frame.rgb(192, 108) for frame in reader.frames()}
    pts = list(whole)
    decoded = [0]
    good = Flow._good

    def counted(self, pictures):
        decoded[0] += len(pictures)
        return good(self, pictures)

    monkeypatch.setattr(Flow, "_good", counted)
    counts = []
    for codecs in (read.UNREFERENCED, ()):
        monkeypatch.setattr(read, "UNREFERENCED", codecs)
        decoded[0] = 0
        for first, end in ((60, 70), (91, 96), (47, 48)):
            with open_video(path, facts) as reader:
                frames = list(reader.frames(pts[first], pts[end] if end < len(pts) else None))
                assert [frame.pts for frame in frames] == pts[first:end]
                assert all((frame.rgb(192, 108) == whole[frame.pts]).all() for frame in frames)
        counts.append(decoded[0])
    assert counts[0] < 0.8 * counts[1]
