"""Values in free text: party sizes, numbers, days, times of day, names and choices.

Each module finds values of one kind and their positions. No IO, no clock: `today` is passed in.
"""
