"""`python -m wantrain`: the command wantrain, where its script is not on the PATH."""

import sys

# `python -m` puts the current folder first on the path. Unless the package itself lies there, nothing there is ours: a
# `random.py` among the downloads would be run, and a folder named as the package mixed into it (engines/children.py of
# wanprep says the same to processes of ours).
if not sys.flags.safe_path and __file__ != f"{sys.path[0]}/wantrain/__main__.py":
    del sys.path[0], sys.modules["wantrain"]

from wantrain.cli import main

if __name__ == "__main__":
    main()
