"""From a plan to a finished dataset: workers fill slots, shards are committed, exports and report written."""
