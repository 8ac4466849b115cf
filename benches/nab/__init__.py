"""Anomaly rules on the labelled series of the Numenta Anomaly Benchmark, beside detectors of others."""
