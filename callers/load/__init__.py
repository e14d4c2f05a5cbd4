"""`antiphon load`: real WebRTC callers in several processes and hosts, and a report of what they noticed.

A leader decides how many callers there are and collects what they measure. Helpers, which are processes on this host or
on others, carry the callers. What they tell each other is in `messages`.
"""
