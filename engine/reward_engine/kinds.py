"""The kinds of series that a run has: its reward functions, what else is known of its completions, its trainer's scalars."""

REWARD, COMPLETION, TRAINER = KINDS = ("reward", "completion", "trainer")
