"""The command line: ``cepheid run``, ``cepheid check``, ``cepheid explain``."""
