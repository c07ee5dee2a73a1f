"""Stage 5, exports: datasets in the formats that trainers read, derived from the store at any time."""
