"""Items and users over gRPC: upserts, pages, and the export and deletion of a user's data."""
