"""One output folder, many tasks: each makes its shards for itself and puts them in place whole, and no lock is asked for."""
