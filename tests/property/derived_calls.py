"""What several calls derive, as plain data: to be compared with what others do."""

import cepheid as cep


def shown(calls):
    """Derived events of some calls, topic by topic; rows of matches with the match that they are of."""
    found = {}
    for derived in calls:
        for topic, matches in derived.items():
            events, rows = found.setdefault(topic, ([], []))
            before = len(events)
            events += matches.to_arrow().to_pylist()
            try:
                membership = matches.rows.to_pylist()
            except cep.PatternError:
                continue
            rows += [row | {"match": row["match"] + before} for row in membership]
    return found
