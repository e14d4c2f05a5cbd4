"""Speech recognizers, language models and voices, behind three protocols.

A folder per vendor or local engine; `catalog` opens what an agent file names, with its guard and fallback.
"""
