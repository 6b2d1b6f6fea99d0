import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def footage():
    """tests/footage.py, loaded by path because tests are no package."""
    spec = importlib.util.spec_from_file_location("wanprep_test_footage", Path(__file__).parent.parent / "footage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
