"""Topics that come while an app looks at its store: none of their events is passed over."""

import cepheid as cep


def test_a_handler_is_given_events_of_topics_that_come_while_it_reads(monkeypatch):
    app, seen = cep.App("shop"), []

    @app.on("order.*")
    def note(event):
        seen.append(event["n"])

    info, came = cep.EventStore.info, []

    def and_then_one_more(store):
        found = info(store)
        if len(came) < 3:
            came.append(store.append(f"order.new{len(came)}", {"ts": [1], "n": [len(came)]}))
        return found

    with app.test() as test:
        monkeypatch.setattr(cep.EventStore, "info", and_then_one_more)
        for number in range(10, 15):
            test.store.append("order.paid", {"ts": [1], "n": [number]})
            test.advance("10s")
        assert len(came) == 3
        assert sorted(seen) == [0, 1, 2, *range(10, 15)]
