"""What a run found out, told: on the terminal, as a page, as JSON; all of them draw a `Result`."""
