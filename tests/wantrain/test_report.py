"""The report is one file that says what the run recorded; and charts that put points where they belong."""

import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from wanprep.stage import UsageError
from wantrain.cli import main
from wantrain.report import write_report
from wantrain.svg import Series, bars, chart, smoothed, thinned, ticks

PNG = b"\x89PNG small"


class Reader(HTMLParser):
    """Tags opened and closed, addresses, and text."""

    VOID = ("meta", "img", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open, self.addresses, self.text, self.tags = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def _read(path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text())
    reader.close()
    assert reader.open == []
    return reader


def test_a_report_holds_the_run_and_reaches_for_nothing(finished, tmp_path):
    done = CliRunner().invoke(main, ["report", str(finished.folder), "--out", str(tmp_path / "r.html")])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'r.html'}\n")
    page = _read(tmp_path / "r.html")
    text = " ".join(page.text)
    assert page.addresses == []
    assert "script" not in page.tags
    assert not re.search(r"https?://|@import|url\(", (tmp_path / "r.html").read_text())
    assert page.tags.count("svg") == 2 * 8
    for name, verdict in finished.verdicts.items():
        assert name in text
        assert verdict.reason in text
        for row in verdict.rows:
            assert row.file in text
            assert f"{row.loss:.4f}" in text
    assert "tiny; 16 samples to train on, 4 held out" in text


def test_previews_go_into_the_page_or_beside_it(toy, dataset, tmp_path, monkeypatch):
    from wantrain import report

    run = toy.train_toy(tmp_path, dataset, changes={"high": {"steps": 1}, "experts": {"stages": ["high"]}}).folder
    (run / "previews" / "a b").mkdir(parents=True)
    (run / "previews" / "x.png").write_bytes(PNG)
    (run / "previews" / "a b" / "y.mp4").write_bytes(b"0" * 200)
    monkeypatch.setattr(report, "EMBED", 100)
    page = _read(write_report(run, run / "report.html"))
    assert sorted(page.addresses) == [f"data:image/png;base64,{b64encode(PNG).decode()}", "previews/a%20b/y.mp4"]


def test_names_are_escaped_and_a_folder_that_is_no_run_is_refused(toy, dataset, finished, tmp_path):
    import shutil

    odd = tmp_path / "a <b> & c"
    shutil.copytree(finished.folder, odd)
    assert "<b> &" not in write_report(odd, tmp_path / "o.html").read_text()
    with pytest.raises(UsageError, match="is not a run"):
        write_report(tmp_path, tmp_path / "x.html")


def test_a_run_killed_before_its_first_save_has_a_report_too(toy, dataset, finished, tmp_path):
    lines = (finished.folder / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines[:4]) + '\n{"kind": "st')
    assert "no checkpoint yet" in write_report(tmp_path, tmp_path / "r.html").read_text()


def test_ticks_are_round_and_inside():
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.13, 0.29) == [0.15, 0.2, 0.25]
    assert ticks(-1, 1) == [-1, -0.5, 0, 0.5, 1]
    assert ticks(0, 7e-5) == pytest.approx([0, 2e-5, 4e-5, 6e-5])
    assert ticks(3, 3) == [3]


def test_a_chart_puts_points_in_order_and_in_the_frame():
    svg = chart([Series(name="a", points=[(0, 1.0), (5, 3.0), (10, 2.0)])], x="step", y="loss")
    points = [tuple(map(float, p.split(","))) for p in re.search(r'points="([^"]+)"', svg)[1].split()]
    xs, ys = zip(*points, strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    assert ys[1] < ys[2] < ys[0]  # larger is higher up
    assert all(0 <= x <= 460 and 0 <= y <= 210 for x, y in points)
    assert "nothing recorded" in chart([Series(name="a", points=[])], x="x", y="y")
    assert "<svg" in chart([Series(name="a", points=[(1, 2.0)])], x="x", y="y")  # a single point, no division by zero


def test_bars_have_the_height_of_their_counts():
    svg = bars([("a", [1, 2, 4], 0)], [0.0, 1.0, 2.0, 3.0], x="x", y="n")
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"', svg)]
    assert [h / heights[0] for h in heights] == pytest.approx([1, 2, 4], rel=0.01)
    assert "nothing recorded" in bars([("a", [0, 0], 0)], [0.0, 1.0, 2.0], x="x", y="n")


def test_smoothing_starts_at_the_first_value_and_thinning_keeps_the_ends():
    assert smoothed([(0, 4.0), (1, 4.0)]) == [(0, pytest.approx(4)), (1, pytest.approx(4))]
    assert smoothed([(0, 0.0), (1, 10.0)], keep=0.5)[1][1] == pytest.approx(20 / 3)
    many = [(float(i), 0.0) for i in range(10_000)]
    assert len(thinned(many)) == 1500
    assert thinned(many[:7]) == many[:7]
