"""The lab's fixtures come from tests/lab/fixtures.py, which tests/conftest.py registers."""
