"""Benchmarks: the same questions put to cepheid and to its peers, answers compared before times."""
