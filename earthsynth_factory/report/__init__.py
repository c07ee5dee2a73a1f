"""What a person looks at: the dataset card, contact sheets."""
