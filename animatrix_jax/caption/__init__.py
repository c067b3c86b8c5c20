"""AniCaption: what a clip shows, read from its pixels as production tags and prose."""
