"""Fixtures of this room."""

import pytest
from small_videos import settings_of_thumbnails


@pytest.fixture(scope="session")
def settings():
    """For clips of thumbnail size."""
    return settings_of_thumbnails()
