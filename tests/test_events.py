import pytest

from wanprep.events import attach, overlap


def clip(clip_id: str, start: int, end: int, source: str = "s") -> dict:
    return {"clip_id": clip_id, "source_id": source, "start_pts": start, "end_pts": end}


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 10), (0, 10), 1.0),
        ((0, 10), (0, 8), 0.8),
        ((0, 10), (10, 20), 0.0),
        ((0, 10), (5, 15), 1 / 3),
        ((0, 0), (0, 0), 1.0),
    ],
)
def test_overlap(a: tuple[int, int], b: tuple[int, int], iou: float) -> None:
    assert overlap(clip("a", *a), clip("b", *b)) == pytest.approx(iou)


def test_an_event_follows_its_clip_through_a_small_change_of_its_span() -> None:
    attached, orphaned = attach([clip("old", 0, 100)], [clip("new", 5, 100), clip("next", 100, 200)])
    assert [event["clip_id"] for event in attached] == ["new"]
    assert orphaned == []


def test_an_event_without_its_clip_is_listed_not_dropped() -> None:
    half, elsewhere = clip("old", 0, 100), clip("old", 0, 100, source="t")
    attached, orphaned = attach([half, elsewhere], [clip("new", 0, 50)])
    assert attached == []
    assert orphaned == [half, elsewhere]
