"""What a decoder tells beside a picture, without keeping the picture.

`frame.side_data` ties a frame and its side data into a cycle, which only Python's collector undoes. It counts objects,
and a film makes few: hundreds of pictures of some megabytes lay there until it ran.
"""

from __future__ import annotations

from typing import Any


def side_data(frame: Any) -> Any:
    """The mapping that `frame.side_data` is; it keeps the frame, which does not know of it."""
    from av.sidedata.sidedata import SideDataContainer

    return SideDataContainer(frame)  # type: ignore[call-arg] # its stub lacks the constructor
