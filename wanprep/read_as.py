"""How a source was read, in words: which of its streams, how its picture is turned and converted, what was repaired."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from wanprep.tables import counted

_REPAIRED = {
    "frames_dropped": ("picture left out because its time fits in nowhere", "pictures left out because of their times"),
    "pts_repaired": ("missing time filled in", "missing times filled in"),
    "clock_splices": ("jump of the clock carried on over", "jumps of the clock carried on over"),
    "packets_skipped": ("packet before the first whole picture", "packets before the first whole picture"),
}


def read_as(row: Mapping[str, Any]) -> list[str]:
    """Lines for people about a row of the `signals` table; [] of one that is not done."""
    if row["outcome"] != "done":
        return []
    facts = json.loads(row["facts"])
    said = [_what(row, facts)]
    treated, repaired = _treated(facts), _repaired(facts)
    if treated:
        said.append(f"its picture: {'; '.join(treated)}")
    return [*said, f"repaired: {', '.join(repaired)}"] if repaired else said


def _what(row: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    size = f"{facts['codec']} in {str(facts['container']).partition(',')[0]}, {facts['width']}x{facts['height']}"
    if row["kind"] == "image":
        return f"read as: {size}"
    seconds = float((row["last_pts"] + row["last_duration"] - row["first_pts"]) * Fraction(row["time_base"]))
    length = f"{counted(row['n_frames'], 'picture')} in {seconds:.2f} s"
    streams, hidden = facts["n_video_streams"], facts.get("n_encrypted", 0)
    chosen = f", stream 0:{facts['stream_index']} as ffmpeg counts, the best of {streams} with video"
    passed = f" ({hidden} encrypted)" if hidden else ""
    return f"read as: {size}, {length}{chosen + passed if streams > 1 else ''}"


def _treated(facts: Mapping[str, Any]) -> list[str]:
    treated = []
    margins = facts.get("margins") or [0]
    if any(margins):
        sides = zip(margins, ("left", "top", "right", "bottom"), strict=True)
        treated.append("cut off, as the file says: " + ", ".join(f"{n} {side}" for n, side in sides if n))
    if Fraction(facts["sar"]) != 1:
        treated.append(f"pixels of {str(facts['sar']).replace('/', ':')} made square")
    if facts["mirrored"]:
        treated.append("mirrored")
    if facts["rotation"]:
        treated.append(f"turned by {facts['rotation']} degrees")
    if facts["fields"] or facts["interlaced"]:
        treated.append("deinterlaced" + (f", fields {facts['fields']} without a flag" if facts["fields"] else ""))
    if facts["hdr"] or facts["primaries"] in ("bt2020", "display-p3"):
        treated.append(f"{facts['transfer'] if facts['hdr'] else facts['primaries']} converted to BT.709")
    if facts["alpha"] and facts["codec"] != "gif":  # every decoded GIF has an alpha channel
        treated.append("transparency laid on black")
    return treated


def _repaired(facts: Mapping[str, Any]) -> list[str]:
    times = ["times of decoding put in order"] if facts.get("decode_order") else []
    return times + [f"{facts[name]} {words[facts[name] != 1]}" for name, words in _REPAIRED.items() if facts.get(name)]
