"""Values in free text: party sizes, numbers, days, times of day, names and choices.

Each module finds one kind in a sentence and tells where it stands. No IO, no clock: today is passed in.
"""
