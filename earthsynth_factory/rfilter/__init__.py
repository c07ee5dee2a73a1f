"""Stage 3, R-Filter: rules that score a candidate and say why one is not kept.

EarthSynth names a "rule-based method of R-Filter" and publishes neither rules nor thresholds (arXiv 2505.12108); the
rules here are our reading.
"""
