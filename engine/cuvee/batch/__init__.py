"""Lists for many users at once, made by the pipeline that serves, into files."""
