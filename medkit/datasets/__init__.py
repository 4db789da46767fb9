"""From files or simulation to arrays and frames, split by patient."""
