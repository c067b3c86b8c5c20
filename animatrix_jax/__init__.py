"""AniMatrix in JAX: anime video generation that is right as art, not as physics."""

__version__ = "0.1.0"
