"""The notifier: tells people of alerts.

    results topic ──► notice.py ──► core.py ──► store.py ──► outbox.py ──► receivers.py ──► people
                      a message     what to     the outbox   one thread     Slack, mail,
                      as a struct   say, pure   on disk      a receiver     PagerDuty, ...

Its promise: what was told to fire is told to be resolved; at least once, with a key by which a repeat can be dropped.
"""
