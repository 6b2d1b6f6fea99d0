"""All made-up shots of drawn scenes by name: what the networks of drawn scenes learn from (train_drawn.py,
train_second_look.py). `SHOTS[name](rng, count, word)` is uint8[count, 288, 512, 3] BGR, pictures half a second apart,
with nothing drawn over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import scenes_close
import scenes_inside
import scenes_nature
import scenes_outside
import scenes_styles
from drawn_places import place, street
from ink import Rng, Word

Shot = Callable[[Rng, int, Word], np.ndarray]
OLDER: dict[str, Shot] = {"drawn room": place, "drawn street": partial(place, backdrop=street)}
SHOTS: dict[str, Shot] = OLDER | {
    f"{module.__name__.removeprefix('scenes_')} {name}": shot
    for module in (scenes_inside, scenes_outside, scenes_nature, scenes_close, scenes_styles)
    for name, shot in module.SCENES.items()
}
