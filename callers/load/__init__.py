"""`antiphon load`: how many callers a server carries, and how well they are served.

A leader decides how many callers there are. Helpers, which are processes on this host or on others, carry them and keep
a `Tally` each. The leader merges them into a `LoadReport`, which the text, the HTML page and the gate read.
"""
