"""A check told: on the terminal, as a page, as JSON; all of them draw a `Check`."""
