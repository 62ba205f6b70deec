"""The bounds and delays of the fold, in one place: what a run may occupy, and how long absence takes to be believed.

They are part of the fold's meaning: a change of one that alters results raises `FOLD_GENERATION`.
"""

# Rises when the same log would give other results. Snapshots of an older generation are refused.
FOLD_GENERATION = 4

# One clock for silence. Owners write a tick every 5 s; one tick adds at most two intervals, so an outage of ours is
# never taken for silence of theirs.
TICK_MS = 5_000
ABSENCE_PER_TICK_MAX_MS = 2 * TICK_MS

# Absence, on that clock.
SENDER_SILENT_MS = 60_000  # four heartbeats: it no longer holds the watermark or a step back
STEP_TIMEOUT_MS = 120_000  # a step that nothing was added to for so long closes as it is
RUN_LOST_MS = 300_000  # no sender spoke
RUN_FORGOTTEN_MS = 3_600_000  # after its end or loss

# Event time.
FUTURE_MAX_MS = 60_000  # event times further ahead of the append time are clamped to this
LATENESS_MS = 5_000  # the watermark stays so far behind the slowest sender
TIME_PANE_MS = 10_000

# A step closes without the senders that are still missing when its run is so many steps ahead of it.
STEPS_AHEAD = 16

# Per run. Past them an event is refused with a dead letter.
SENDERS_MAX = 4_096
SESSIONS_MAX = 4_096
HOLES_MAX = 1_024  # in the sequence of one session
SERIES_MAX = 512  # reward functions, or trainer scalars, over the run's life
PRODUCTS_MAX = 33  # series whose correlations are kept: the total and the first 32 functions
WAITING_MAX = 65_536  # completions of a step whose groups are not whole yet; past it they count as they are
PENDING_MAX = 16  # messages of a pane whose sums are not merged yet
OPEN_PANES_MAX = 256  # per axis and kind: past it the oldest is closed

# Per partition.
RUNS_MAX = 10_000
FORGOTTEN_MAX = 10_000  # ids of forgotten runs that are remembered, so that a return is told from a start

DEAD_LETTER_BYTES_MAX = 65_536
