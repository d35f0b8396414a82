"""What every command shares: a quiet start, one-line errors, arguments, progress, whole files."""
