"""What an engine holds, to be compared before and after a call that must change nothing."""

import cepheid as cep


def state(engine: cep.Engine) -> tuple[object, ...]:
    """All that matters of an engine; how much memory it has set aside does not."""
    stats = engine.stats()
    rules = tuple(rule._replace(bytes=0) for rule in stats.rules)
    return stats._replace(bytes=0, rules=rules), engine.snapshot()
