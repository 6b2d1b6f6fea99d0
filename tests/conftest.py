"""Shared by all tests: few threads a process (tests run side by side), and a home of their own for built weights."""

import os

# Before numpy, cv2 or torch are loaded. More threads than cores make the torch tests three times slower.
for name in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(name, "1")
for name in list(os.environ):
    if name.startswith(("WANPREP_", "WANTRAIN_")) and name != "WANPREP_HOME":
        del os.environ[name]  # a user's settings are not the tests'
os.environ["HF_HUB_OFFLINE"] = "1"

from hypothesis import settings  # noqa: E402

# No deadline: on a busy machine the first example of a test pays for imports, and a slow machine is not a bug.
settings.register_profile("wanprep", deadline=None)
settings.load_profile("wanprep")
