"""What the dataset and compose sources share: folders of masks, read, indexed, cut and viewed."""
