"""Where arrays live: the device mesh and the one sharding table."""
