"""The run: plan → shards → workers → store."""
