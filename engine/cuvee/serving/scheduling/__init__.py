"""When does which source compute, and for how long? One batch at a time, each source within its share."""
