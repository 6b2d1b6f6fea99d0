"""What the real footage of the benchmark of quality really has, so that finding it is no false reject."""

from __future__ import annotations

from typing import Any

# By name of file or clip; by its README and by eye.
KNOWN = {
    "crystal": {"blur", "motion_blur", "shake"},  # drifts far out of focus; hand-held
    "frog": {"blur", "shake"},
    "fire": {"shake", "motion_blur", "light_jump"},
    "watermark": {"overlay", "static", "frozen"},  # still pictures to the bit
    "cars": {"static"},  # an empty road between cars
    "bottle": {"static"},  # nothing moves until a bottle is taken
    "popeye_t03": {"blur", "motion_blur", "compression"},  # 45 kbit/s: nothing fine is left
    "bbb_trailer": {"overlay", "text_card", "screen"},  # title cards
    "bbb_480p_24fps.mp4/3": {"overlay"},  # opening titles
    "bbb_480p_24fps.mp4/4": {"overlay"},
    "bbb_480p_24fps.mp4/5": {"overlay"},
    "traffic": {"static", "frozen"},  # pieces without a car
}


def known(row: dict[str, Any], name: str) -> bool:
    return any(row["clip"].startswith(prefix) and name in names for prefix, names in KNOWN.items())
